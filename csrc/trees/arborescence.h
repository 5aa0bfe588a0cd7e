// Maximum spanning arborescences with one child of the root: the trees of graph-based dependency parsers.
//
// Of n words and a root, scores[(i - 1) * row_stride + j] is that of the arc from j (0: the root) to word i. The tree
// is the best of those in which every word has one head, no arc is forbidden (-inf), and the root has exactly one
// child. It depends only on the scores; ties go to the lower head at each comparison of the algorithm.
#pragma once

#include <cstdint>

namespace repsim {

inline constexpr std::int64_t kMaxWords = 16383;  // so that counts of arcs, summed along a contraction, fit 32 bits

enum class TreeFault : int {
    none,
    score,    // NaN, +inf, or beyond 1e300, where differences overflow
    no_tree,  // without forbidden arcs, and with one child of the root, there is none
};

// What was wrong first, in order of sentences; word and head say where, for a score.
struct TreeReport {
    TreeFault fault = TreeFault::none;
    std::int64_t sentence = -1, word = -1, head = -1;
};

// Sentence b has lengths[b] <= n_words words and scores from scores + b * n_words * (n_words + 1), row_stride
// n_words + 1; the scores on the diagonal (a word its own head) and of the padding are not read. heads (batch, n_words)
// gets a head for each word, and -1 in the padding.
template <class Score>
TreeReport arborescences(const Score* scores, const std::int64_t* lengths, std::int64_t batch, std::int64_t n_words,
                         std::int64_t* heads, int n_threads);

extern template TreeReport arborescences(const float*, const std::int64_t*, std::int64_t, std::int64_t, std::int64_t*,
                                         int);
extern template TreeReport arborescences(const double*, const std::int64_t*, std::int64_t, std::int64_t, std::int64_t*,
                                         int);

}  // namespace repsim
