#include "neighbours/neighbours.h"

#include <algorithm>
#include <array>
#include <limits>

namespace repsim {
namespace {

// Replaces the farthest neighbour of a full heap by a nearer one.
void replace_top(Neighbour* heap, std::int64_t size, const Neighbour& nearer) {
    std::int64_t hole = 0;
    for (std::int64_t child = 1; child < size; child = 2 * hole + 1) {
        if (child + 1 < size && heap[child] < heap[child + 1]) ++child;
        if (!(nearer < heap[child])) break;
        heap[hole] = heap[child];
        hole = child;
    }
    heap[hole] = nearer;
}

}  // namespace

NeighbourSweep::NeighbourSweep(const PanelsPtr& x, const PanelsPtr& y, Metric metric, std::int64_t k)
    : Sweep({x}, y ? std::vector<PanelsPtr>{y} : std::vector<PanelsPtr>{}, metric), k_(k) {
    const std::int64_t available = symmetric() ? n_rows() - 1 : right(0).n_rows();
    REPSIM_CHECK(k >= 1 && k <= available, "k must be between 1 and the " << available << " rows there are: got " << k);
}

HeapSweep::HeapSweep(const PanelsPtr& x, const PanelsPtr& y, Metric metric, std::int64_t k)
    : NeighbourSweep(x, y, metric, k) {
    heaps_.resize(n_rows() * k);
    sizes_.assign(n_rows(), 0);
    limits_.assign(n_rows(), std::numeric_limits<double>::infinity());
    block_mutexes_ = std::make_unique<std::mutex[]>(left(0).n_blocks());
}

void HeapSweep::prepare(int n_threads) {
    if (workers_.size() < static_cast<std::size_t>(n_threads)) workers_.resize(n_threads);
}

void HeapSweep::reduce(const Task& task, const std::vector<TileView>& bank, int worker) {
    if (bank.front().is_double)
        reduce_as<double>(task, bank.front(), workers_[worker]);
    else
        reduce_as<float>(task, bank.front(), workers_[worker]);
}

// Locks are held to copy limits and to enter candidates, which soon are few, not while a tile is searched. Limits
// that have fallen meanwhile only let more candidates through to offer(), which decides.
template <class T>
void HeapSweep::reduce_as(const Task& task, const TileView& tile, Worker& own) {
    const PairKernels& kernels = left(0).kernels();
    std::array<T, kTileRows> row_limits;
    std::array<T, kTileCols> col_limits, negated;
    std::array<std::int32_t, kTileCols> places;
    copy_limits(task.i, tile.first_row, tile.n_rows, row_limits.data());
    if (symmetric()) copy_limits(task.j, tile.first_col, tile.n_cols, col_limits.data());
    own.for_rows.clear();
    own.for_cols.clear();
    for (std::int64_t r = 0; r < tile.n_rows; ++r) {
        const std::int64_t begin = tile.first_valid(r), count = tile.n_cols - begin;
        if (count <= 0) break;
        const T* values = tile.row<T>(r) + begin;
        if (metric() == Metric::dot) {
            std::transform(values, values + count, negated.begin(), [](T value) { return -value; });
            values = negated.data();
        }
        const std::int64_t row = tile.first_row + r, first_col = tile.first_col + begin;
        const std::int64_t n_near = kernels.select(values, &row_limits[r], true, count, places.data());
        for (std::int64_t i = 0; i < n_near; ++i)
            own.for_rows.push_back({row, {static_cast<double>(values[places[i]]), first_col + places[i]}});
        if (!symmetric()) continue;
        const std::int64_t n_nearer = kernels.select(values, &col_limits[begin], false, count, places.data());
        for (std::int64_t i = 0; i < n_nearer; ++i)
            own.for_cols.push_back({first_col + places[i], {static_cast<double>(values[places[i]]), row}});
    }
    offer(task.i, own.for_rows);
    offer(task.j, own.for_cols);
}

template <class T>
void HeapSweep::copy_limits(std::int64_t block, std::int64_t first, std::int64_t count, T* out) {
    std::lock_guard<std::mutex> lock(block_mutexes_[block]);
    for (std::int64_t r = 0; r < count; ++r) out[r] = static_cast<T>(limits_[first + r]);
}

void HeapSweep::offer(std::int64_t block, const std::vector<Candidate>& candidates) {
    if (candidates.empty()) return;
    std::lock_guard<std::mutex> lock(block_mutexes_[block]);
    for (const Candidate& candidate : candidates) {
        Neighbour* heap = heaps_.data() + candidate.row * k();
        std::int64_t& size = sizes_[candidate.row];
        if (size < k()) {
            heap[size++] = candidate.neighbour;
            std::push_heap(heap, heap + size);
        } else if (candidate.neighbour < heap[0]) {
            replace_top(heap, k(), candidate.neighbour);
        }
        if (size == k()) limits_[candidate.row] = heap[0].value;
    }
}

template <class T>
void HeapSweep::read_as(std::int64_t* indices, T* values) const {
    std::vector<Neighbour> list(k());
    const bool largest_first = metric() == Metric::dot;
    for (std::int64_t row = 0; row < n_rows(); ++row) {
        std::copy_n(heaps_.begin() + row * k(), k(), list.begin());
        std::sort_heap(list.begin(), list.end());
        for (std::int64_t i = 0; i < k(); ++i) {
            indices[row * k() + i] = list[i].index;
            values[row * k() + i] = static_cast<T>(largest_first ? -list[i].value : list[i].value);
        }
    }
}

void HeapSweep::read(std::int64_t* indices, void* values) {
    REPSIM_CHECK(complete(), "neighbours are known when every task has been run");
    if (is_double())
        read_as(indices, static_cast<double*>(values));
    else
        read_as(indices, static_cast<float*>(values));
}

}  // namespace repsim
