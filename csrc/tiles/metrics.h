// One functor per metric: what is summed over the features (core), and what becomes of the sum (epilogue).
//
// With rows u, v as packed (transformed, shifted, rounded) and row terms from kernels.h:
//   near(core, u, v)   the distance before its last function, by norms minus core;
//   finish(x)          the last function (metric_epilogue.h).
// Where near() is small relative to size(u, v), digits have cancelled, and is recomputed from the differences u_k -
// v_k. So equal rows are at distance 0, near rows keep their digits, and far ones cost one product.
#pragma once

#include "tiles/kernels.h"
#include "tiles/metric_epilogue.h"
#include "tiles/vector_math.h"

namespace repsim {
namespace REPSIM_ISA {

// --- cores: step() for one feature, join() for partial results over runs of features. `one` is 1, unknown to the
// compiler: a sum written as a multiply-add, and a difference likewise, runs on units that adds leave idle.
struct Products {  // sum_k u_k v_k
    template <class V, class T>
    static V step(V sum, const T& u, const V& v, T /*one*/) {
        return sum + u * v;
    }
    template <class V>
    static V join(const V& x, const V& y) {
        return x + y;
    }
};

struct Maxima {  // sum_k max(u_k, v_k): one operation less than sum_k |u_k - v_k|
    template <class V, class T>
    static V step(V sum, const T& u, const V& v, T one) {
        return add_by_product(sum, larger(v, u), one);
    }
    template <class V>
    static V join(const V& x, const V& y) {
        return x + y;
    }
};

struct LargestDifference {  // max_k |u_k - v_k|
    template <class V, class T>
    static V step(V largest, const T& u, const V& v, T one) {
        return larger_magnitude(largest, subtract_from_product(v, u, one), one);
    }
    template <class V>
    static V join(const V& x, const V& y) {
        return x > y ? x : y;
    }
};

// --- differences, for pairs that are near: step() accumulates what near() would have been, scale * sum
struct HalfSquares {
    static constexpr double scale = 0.5;
    template <class V>
    static V step(V sum, const V& difference) {
        return sum + difference * difference;
    }
};

struct Magnitudes {
    static constexpr double scale = 1.0;
    template <class V>
    static V step(V sum, const V& difference) {
        return sum + absolute<typename Scalar<V>::type>(difference);
    }
};

// --- metrics
struct Math {
    template <class T>
    static T root(T x) {
        return square_root(x);
    }
    template <class T>
    static T arcsine(T x) {
        return REPSIM_ISA::arcsine(x);
    }
};

struct Bare {  // the core is the distance
    static constexpr bool needs_norms = false;
    using Differences = HalfSquares;
    static constexpr RowTerm term = half_square, size_term = half_square;
    template <class T>
    static T near(T core, T) {
        return core;
    }
    template <class T>
    static T finish(T x) {
        return x;
    }
};

// <u, v> of unshifted rows
struct Dot : Bare {
    using Core = Products;
};

// max_k |u_k - v_k|
struct Chebyshev : Bare {
    using Core = LargestDifference;
};

struct HalfSquaredDistance {
    static constexpr bool needs_norms = true;
    using Core = Products;
    using Differences = HalfSquares;
    static constexpr RowTerm term = half_square, size_term = half_square;
    template <class T>
    static T near(T core, T terms) {
        return epilogue::half_squared_distance(terms, core);
    }
};

struct SquaredEuclidean : HalfSquaredDistance {
    template <class T>
    static T finish(T h) {
        return epilogue::sqeuclidean<Math>(h);
    }
};

struct Euclidean : HalfSquaredDistance {
    template <class T>
    static T finish(T h) {
        return epilogue::euclidean<Math>(h);
    }
};

struct Cosine : HalfSquaredDistance {
    template <class T>
    static T finish(T h) {
        return epilogue::cosine<Math>(h);
    }
};

struct Angular : HalfSquaredDistance {
    template <class T>
    static T finish(T h) {
        return epilogue::angular<Math>(h);
    }
};

// sum_k |u_k - v_k| = 2 sum_k max(u_k, v_k) - sum_k u_k - sum_k v_k
struct Manhattan {
    static constexpr bool needs_norms = true;
    using Core = Maxima;
    using Differences = Magnitudes;
    static constexpr RowTerm term = plain_sum, size_term = magnitude;
    template <class T>
    static T near(T core, T terms) {
        return 2 * core - terms;
    }
    template <class T>
    static T finish(T x) {
        return x;
    }
};

}  // namespace REPSIM_ISA
}  // namespace repsim
