#include "trees/arborescence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/check.h"
#include "core/thread_pool.h"

namespace repsim {
namespace {

constexpr double kLargest = 1e300;
constexpr std::int64_t kSentencesPerTask = 16;

// The arc that enters one (contracted) word from another: its weight, and the arc between words it stands for.
// Weights are pairs in lexicographic order: fewer forbidden arcs and arcs from the root first, then the higher score.
// So the bound on the root's children costs no digits of the scores, as a large number added to them would.
struct Arc {
    double score = 0;
    std::int32_t cost = 0;
    std::uint16_t head = 0, word = 0;
};

bool better(const Arc& a, const Arc& b) {
    if (a.cost != b.cost) return a.cost < b.cost;
    if (a.score != b.score) return a.score > b.score;
    return a.head < b.head;
}

// One sentence at a time; the memory is kept for the next. A place is a row and column of the matrix of arcs: at first
// word i has place i, a contracted cycle takes that of one of its members. A node is a word or a cycle: 0 to n, then
// the cycles in the order they are made.
class Contraction {
  public:
    // Fills heads[0..n) with the head of words 1 to n; row_stride in entries.
    template <class Score>
    TreeReport run(const Score* scores, std::int64_t row_stride, std::int32_t n, std::int64_t* heads) {
        TreeReport report = read(scores, row_stride, n);
        if (report.fault != TreeFault::none) return report;
        for (std::int32_t word = 1; word <= n; ++word)
            if (state_[word] == State::untouched) walk_from(word);
        expand(heads);
        std::int64_t roots = 0;
        for (std::int64_t i = 0; i < n; ++i) {
            roots += heads[i] == 0;
            if (std::isinf(scores[i * row_stride + heads[i]])) report.fault = TreeFault::no_tree;
        }
        if (roots != 1) report.fault = TreeFault::no_tree;
        return report;
    }

  private:
    enum class State : char { untouched, on_path, finished, gone };

    Arc& arc(std::int32_t word, std::int32_t head) { return arcs_[static_cast<std::size_t>(word) * size_ + head]; }

    template <class Score>
    TreeReport read(const Score* scores, std::int64_t row_stride, std::int32_t n) {
        size_ = n + 1;
        arcs_.resize(static_cast<std::size_t>(size_) * size_);
        for (std::int32_t word = 1; word <= n; ++word) {
            const Score* row = scores + (word - 1) * row_stride;
            for (std::int32_t head = 0; head <= n; ++head) {
                if (head == word) continue;
                const double score = row[head];
                const bool forbidden = score == -std::numeric_limits<double>::infinity();
                if (!forbidden && !(std::abs(score) <= kLargest)) return {TreeFault::score, -1, word, head};
                // A forbidden arc costs more than all words hanging on the root.
                arc(word, head) = {forbidden ? 0.0 : score, (forbidden ? size_ : 0) + (head == 0),
                                   static_cast<std::uint16_t>(head), static_cast<std::uint16_t>(word)};
            }
        }
        places_.resize(size_);
        node_of_.resize(size_);
        for (std::int32_t i = 0; i < size_; ++i) places_[i] = node_of_[i] = i;
        state_.assign(size_, State::untouched);
        state_[0] = State::finished;
        entering_.resize(size_);
        chosen_.assign(size_, Arc{});
        parent_.assign(size_, -1);
        path_.clear();
        return {};
    }

    // Follows best heads from a word until they reach the root or words that do, contracting each cycle on the way.
    void walk_from(std::int32_t start) {
        path_.assign(1, start);
        state_[start] = State::on_path;
        for (;;) {
            const std::int32_t place = path_.back(), head = choose(place);
            if (state_[head] == State::untouched) {
                state_[head] = State::on_path;
                path_.push_back(head);
            } else if (state_[head] == State::on_path) {
                contract(head);
            } else {
                for (const std::int32_t done : path_) state_[done] = State::finished;
                return;
            }
        }
    }

    // The place of the best head; the arc is kept as the node's.
    std::int32_t choose(std::int32_t place) {
        std::int32_t best = -1;
        for (const std::int32_t other : places_)
            if (other != place && (best < 0 || better(arc(place, other), arc(place, best)))) best = other;
        entering_[place] = chosen_[node_of_[place]] = arc(place, best);
        return best;
    }

    // The path's end, from `target` on, is a cycle: it becomes one node at the place `target`.
    void contract(std::int32_t target) {
        const auto first = std::find(path_.begin(), path_.end(), target);
        cycle_.assign(first, path_.end());
        path_.erase(first + 1, path_.end());
        const auto node = static_cast<std::int32_t>(parent_.size());
        for (const std::int32_t member : cycle_) {
            parent_[node_of_[member]] = node;
            state_[member] = State::gone;
        }
        parent_.push_back(-1);
        chosen_.emplace_back();
        for (const std::int32_t other : places_) {
            if (state_[other] == State::gone) continue;
            // To enter the cycle at a member gives up the arc that enters the member from inside.
            Arc in;
            for (std::size_t k = 0; k < cycle_.size(); ++k) {
                Arc entry = arc(cycle_[k], other);
                entry.score -= entering_[cycle_[k]].score;
                entry.cost -= entering_[cycle_[k]].cost;
                if (k == 0 || better(entry, in)) in = entry;
            }
            arc(target, other) = in;
            if (other == 0) continue;
            Arc out = arc(other, cycle_[0]);
            for (const std::int32_t member : cycle_)
                if (better(arc(other, member), out)) out = arc(other, member);
            arc(other, target) = out;
        }
        std::erase_if(places_, [&](std::int32_t place) { return place != target && state_[place] == State::gone; });
        state_[target] = State::on_path;
        node_of_[target] = node;
    }

    // From the outermost nodes inwards: the arc that enters a node replaces those of the members it passes through.
    void expand(std::int64_t* heads) {
        replaced_.assign(parent_.size(), false);
        for (auto node = static_cast<std::int32_t>(parent_.size()) - 1; node >= 1; --node) {
            if (replaced_[node]) continue;
            const Arc& entry = chosen_[node];
            heads[entry.word - 1] = entry.head;
            for (std::int32_t inner = entry.word; inner != node; inner = parent_[inner]) replaced_[inner] = true;
        }
    }

    std::int32_t size_ = 0;
    std::vector<Arc> arcs_;              // [place of the word][place of the head]
    std::vector<std::int32_t> places_;   // in use, ascending
    std::vector<std::int32_t> node_of_;  // by place
    std::vector<State> state_;           // by place
    std::vector<Arc> entering_;          // by place: the best arc, where it is on the path
    std::vector<Arc> chosen_;            // by node
    std::vector<std::int32_t> parent_;   // by node: the cycle it is a member of
    std::vector<std::int32_t> path_, cycle_;
    std::vector<char> replaced_;  // by node
};

}  // namespace

template <class Score>
TreeReport arborescences(const Score* scores, const std::int64_t* lengths, std::int64_t batch, std::int64_t n_words,
                         std::int64_t* heads, int n_threads) {
    REPSIM_CHECK(n_words <= kMaxWords, "a sentence has at most " << kMaxWords << " words: got " << n_words);
    for (std::int64_t b = 0; b < batch; ++b)
        REPSIM_CHECK(lengths[b] >= 0 && lengths[b] <= n_words,
                     "lengths must be from 0 to " << n_words << ": got " << lengths[b] << " for sentence " << b);
    std::vector<Contraction> workers(std::max(n_threads, 1));
    std::vector<TreeReport> reports(batch);
    const std::int64_t n_tasks = (batch + kSentencesPerTask - 1) / kSentencesPerTask;
    parallel_for(n_tasks, n_threads, [&](std::int64_t task, int worker) {
        const std::int64_t stop = std::min(batch, (task + 1) * kSentencesPerTask);
        for (std::int64_t b = task * kSentencesPerTask; b < stop; ++b) {
            std::int64_t* row = heads + b * n_words;
            std::fill(row + lengths[b], row + n_words, -1);
            if (lengths[b] == 0) continue;
            reports[b] = workers[worker].run(scores + b * n_words * (n_words + 1), n_words + 1,
                                             static_cast<std::int32_t>(lengths[b]), row);
            reports[b].sentence = b;
        }
    });
    for (const TreeReport& report : reports)
        if (report.fault != TreeFault::none) return report;
    return {};
}

template TreeReport arborescences(const float*, const std::int64_t*, std::int64_t, std::int64_t, std::int64_t*, int);
template TreeReport arborescences(const double*, const std::int64_t*, std::int64_t, std::int64_t, std::int64_t*, int);

}  // namespace repsim
