// The names of metrics and of the precisions of tiles; the equations are in metrics.h.
#pragma once

#include <string>

namespace repsim {

enum class Metric : int { dot, cosine, correlation, sqeuclidean, euclidean, angular, manhattan, chebyshev };

// fp32 and fp64: rows and tiles of that type. bf16: rows in bfloat16, exact products, float32 sums and tiles.
enum class TilePrecision : int { fp32, fp64, bf16 };

Metric metric_from_name(const std::string& name);
TilePrecision tile_precision_from_name(const std::string& name);
const char* name_of(TilePrecision precision);

}  // namespace repsim
