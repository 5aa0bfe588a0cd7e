// A pool of threads: no OpenMP runtime to clash with, no spinning workers, one counter from which every thread takes
// tasks.
#pragma once

#include <cstdint>
#include <functional>

namespace repsim {

// Runs body(task, worker) for task in [0, n_tasks) on up to n_threads threads, the caller among them.
// Which worker takes which task is not determined, so results must depend only on the task.
// worker is in [0, n_threads). The first exception thrown by a body is rethrown here.
void parallel_for(std::int64_t n_tasks, int n_threads, const std::function<void(std::int64_t, int)>& body);

// How many threads so many multiplications are worth: with few of them, waking a thread takes longer than it saves.
int threads_for(double multiplications, int n_threads);

}  // namespace repsim
