// _cuda_emulated: the bindings and kernels of pyrepsim._cuda over the memory of the CPU.
#include "bindings/cuda/module.h"

PYBIND11_MODULE(_cuda_emulated, module) {
    module.def("set_order", [](const std::string& order, std::uint64_t seed) {
        using cuda_on_cpu::Order;
        cuda_on_cpu::set_order(order == "random"    ? Order::random
                               : order == "reverse" ? Order::reverse
                                                    : Order::forward,
                               seed);
    });
    bind_cuda_kernels(module);
}
