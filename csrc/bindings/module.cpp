#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "core/isa.h"
#include "int24/units.h"

void bind_convert(pybind11::module_& module);
void bind_moments(pybind11::module_& module);
void bind_pairwise(pybind11::module_& module);
void bind_ranks(pybind11::module_& module);
void bind_reductions(pybind11::module_& module);
void bind_trees(pybind11::module_& module);

PYBIND11_MODULE(_core, module) {
    module.doc() = "The compiled engine of pyrepsim. Use it through pyrepsim.backends.";
    module.def("available_isas", [] {
        std::vector<std::string> names;
        for (repsim::Isa isa : repsim::available_isas()) names.push_back(repsim::isa_name(isa));
        return names;
    });
    module.def("int24_unit", [](const std::string& isa) { return repsim::int24_unit(repsim::choose_isa(isa)); });
    bind_convert(module);
    bind_moments(module);
    bind_pairwise(module);
    bind_ranks(module);
    bind_reductions(module);
    bind_trees(module);
}
