#include "tiles/distance_sweep.h"

#include <algorithm>

namespace repsim {

DistanceSweep::DistanceSweep(const PanelsPtr& x, const PanelsPtr& y, Metric metric, void* out, bool out_is_double,
                             std::int64_t out_size)
    : Sweep({x}, y ? std::vector<PanelsPtr>{y} : std::vector<PanelsPtr>{}, metric),
      out_(out),
      out_is_double_(out_is_double) {
    const std::int64_t n = x->n_rows(), wanted = y ? n * y->n_rows() : n * (n - 1) / 2;
    REPSIM_CHECK(out_size == wanted, "out must have " << wanted << " elements: got " << out_size);
}

template <class In, class Out>
void DistanceSweep::write(const TileView& tile) const {
    const std::int64_t n = right(0).n_rows();
    for (std::int64_t r = 0; r < tile.n_rows; ++r) {
        const std::int64_t row = tile.first_row + r, begin = tile.first_valid(r);
        if (begin >= tile.n_cols) break;
        const std::int64_t row_start = symmetric() ? row * (2 * n - row - 1) / 2 - row - 1 : row * n;
        std::copy(tile.row<In>(r) + begin, tile.row<In>(r) + tile.n_cols,
                  static_cast<Out*>(out_) + row_start + tile.first_col + begin);
    }
}

void DistanceSweep::reduce(const Task&, const std::vector<TileView>& bank, int) {
    const TileView& tile = bank.front();
    if (tile.is_double)
        out_is_double_ ? write<double, double>(tile) : write<double, float>(tile);
    else
        out_is_double_ ? write<float, double>(tile) : write<float, float>(tile);
}

}  // namespace repsim
