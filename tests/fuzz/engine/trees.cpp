// Spanning arborescences against all head assignments of short sentences; long ones must be trees with one root.
#include "trees/arborescence.h"

#include "input.h"

using namespace repsim;
using namespace repsim::fuzzing;

namespace {

bool is_tree(const std::int64_t* heads, std::int64_t n) {
    std::int64_t roots = 0;
    for (std::int64_t word = 1; word <= n; ++word) {
        roots += heads[word - 1] == 0;
        std::int64_t at = word;
        for (std::int64_t step = 0; at != 0; ++step, at = heads[at - 1])
            if (step > n || heads[at - 1] < 0 || heads[at - 1] > n) return false;
    }
    return roots == 1;
}

// The best sum of scores of all trees; -inf if there is none.
template <class Score>
double best_by_enumeration(const Score* scores, std::int64_t stride, std::int64_t n) {
    double best = -HUGE_VAL;
    std::vector<std::int64_t> heads(static_cast<std::size_t>(n), 0);
    for (;;) {
        if (is_tree(heads.data(), n)) {
            double total = 0;
            for (std::int64_t i = 0; i < n; ++i) total += scores[i * stride + heads[i]];
            best = std::max(best, total);
        }
        std::int64_t i = 0;
        while (i < n && ++heads[i] > n) heads[i++] = 0;
        if (i == n) return best;
    }
}

template <class Score>
void check(Input& input) {
    const std::int64_t batch = input.number(0, 20), n_words = input.number(0, input.one_of({4, 5, 40}));
    const int n_threads = static_cast<int>(input.number(0, 3));
    const auto kind = any_kind(input);
    const std::uint8_t forbidden = input.byte(), odd = input.byte();
    Numbers numbers(input, kind);
    const std::int64_t stride = n_words + 1, of_sentence = n_words * stride;
    const auto scores = std::make_unique<Score[]>(static_cast<std::size_t>(batch * of_sentence));
    for (std::int64_t i = 0; i < batch * of_sentence; ++i) {
        const double value = numbers.next();
        scores[i] = static_cast<Score>(rounded(value, sizeof(Score) == 4 ? DType::f32 : DType::f64));
        if (forbidden > 128 && input.byte() > forbidden) scores[i] = -std::numeric_limits<Score>::infinity();
        if (odd == 77 && input.byte() == 78) scores[i] = std::numeric_limits<Score>::quiet_NaN();
    }
    std::vector<std::int64_t> lengths, heads(static_cast<std::size_t>(batch * n_words), -7);
    for (std::int64_t b = 0; b < batch; ++b) lengths.push_back(input.number(0, n_words));
    const TreeReport report = arborescences(scores.get(), lengths.data(), batch, n_words, heads.data(), n_threads);
    for (std::int64_t b = 0; b < batch; ++b) {
        const Score* sentence = scores.get() + b * of_sentence;
        const std::int64_t n = lengths[b];
        bool valid = true, integral = true;
        for (std::int64_t i = 0; i < n; ++i)
            for (std::int64_t j = 0; j <= n; ++j) {
                const double score = sentence[i * stride + j];
                if (j == i + 1) continue;  // a word its own head: not read
                if (score == -HUGE_VAL) continue;
                valid = valid && std::abs(score) <= 1e300;
                integral = integral && std::abs(score) < 1000 && score == std::floor(score);
            }
        if (!valid) {
            EXPECT(report.fault == TreeFault::score && report.sentence == b, "sentence %ld", b);
            return;
        }
        std::int64_t* row = heads.data() + b * n_words;
        for (std::int64_t i = n; i < n_words; ++i) EXPECT(row[i] == -1, "head %ld in the padding", row[i]);
        if (n == 0) continue;
        const bool short_one = n <= 5 && (n <= 4 || integral);
        const double best = short_one && integral ? best_by_enumeration(sentence, stride, n) : 0;
        if (report.fault == TreeFault::no_tree && report.sentence == b) {
            EXPECT(!short_one || !integral || best == -HUGE_VAL, "sentence %ld has a tree, of score %g", b, best);
            return;
        }
        EXPECT(is_tree(row, n), "sentence %ld has no tree", b);
        double total = 0;
        for (std::int64_t i = 0; i < n; ++i) total += sentence[i * stride + row[i]];
        EXPECT(total > -HUGE_VAL, "a forbidden arc in sentence %ld", b);
        if (short_one && integral) EXPECT(total == best, "a tree of score %g instead of %g", total, best);
    }
    EXPECT(report.fault == TreeFault::none, "sentence %ld", report.sentence);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    input.byte() % 2 == 0 ? check<float>(input) : check<double>(input);
    return 0;
}
