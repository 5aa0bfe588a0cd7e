// The last function of a metric, applied to the sum over the features of a pair; shared by the CPU and GPU kernels.
// Roots and arcsines come from the template argument Math.
//
// h = |u - v|^2 / 2 = |u|^2 / 2 + |v|^2 / 2 - <u, v>, whatever point was subtracted from both rows.
#pragma once

#ifdef __CUDACC__
#define REPSIM_EVERYWHERE __host__ __device__ __forceinline__
#else
#define REPSIM_EVERYWHERE inline __attribute__((always_inline))
#endif

namespace repsim::epilogue {

template <class T>
REPSIM_EVERYWHERE T half_squared_distance(T half_squares, T product) {
    return half_squares - product;
}

// |u - v|^2 = 2 h
template <class Math, class T>
REPSIM_EVERYWHERE T sqeuclidean(T h) {
    return 2 * h;
}

// |u - v| = sqrt(2 h)
template <class Math, class T>
REPSIM_EVERYWHERE T euclidean(T h) {
    return Math::root(2 * h);
}

// 1 - cos(x, y) = |u - v|^2 / 2 of unit rows; the correlation distance, of centred unit rows. In [0, 2].
template <class Math, class T>
REPSIM_EVERYWHERE T cosine(T h) {
    return h < 2 ? h : T(2);
}

// arccos(cos(x, y)) / pi = 2 arcsin(sqrt(h / 2)) / pi of unit rows: h keeps the digits of small angles. In [0, 1].
template <class Math, class T>
REPSIM_EVERYWHERE T angular(T h) {
    return T(0.63661977236758134308) * Math::arcsine(Math::root(h < 2 ? h / 2 : T(1)));
}

}  // namespace repsim::epilogue
