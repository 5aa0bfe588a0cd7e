// Writes the tiles out: condensed (the pairs r < s of one set of rows, in SciPy's pdist order) or full between two.
#pragma once

#include "tiles/tiles.h"

namespace repsim {

class DistanceSweep : public Sweep {
  public:
    // out: n (n - 1) / 2 or n * m elements, float64 or else float32; y null: condensed.
    DistanceSweep(const PanelsPtr& x, const PanelsPtr& y, Metric metric, void* out, bool out_is_double,
                  std::int64_t out_size);

  protected:
    void reduce(const Task& task, const std::vector<TileView>& bank, int worker) override;

  private:
    template <class In, class Out>
    void write(const TileView& tile) const;

    void* out_;
    bool out_is_double_;
};

}  // namespace repsim
