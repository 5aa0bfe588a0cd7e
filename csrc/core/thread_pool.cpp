#include "core/thread_pool.h"

#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace repsim {
namespace {

#ifdef __linux__
int this_cpu() { return sched_getcpu(); }

// Linux often wakes a thread on the core of the caller, which is busy, and leaves both there for many milliseconds
// although other cores are idle (a call after a pause then takes 1.3 to 1.7 times as long).
void leave_cpu(int cpu) {
    cpu_set_t allowed, others;
    if (sched_getcpu() != cpu || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    others = allowed;
    CPU_CLR(cpu, &others);
    if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
    sched_setaffinity(0, sizeof allowed, &allowed);
}
#else
int this_cpu() { return -1; }
void leave_cpu(int) {}
#endif

// The next job of a call, and the end of the last task of a job, often come sooner than the 30 us that sleeping and
// waking cost.
template <class Condition>
void watch_for(Condition there) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(100);
    while (!there() && std::chrono::steady_clock::now() < until) {
#ifdef PYREPSIM_X86
        __builtin_ia32_pause();
#endif
    }
}

class Pool {
  public:
    void run(std::int64_t n_tasks, int n_threads, const std::function<void(std::int64_t, int)>& body) {
        std::lock_guard<std::mutex> one_job_at_a_time(job_mutex_);
        int helpers = static_cast<int>(std::min<std::int64_t>(n_threads, n_tasks)) - 1;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            helpers = std::min(helpers, grow_to(helpers));
            body_ = &body;
            n_tasks_ = n_tasks;
            next_.store(0);
            error_ = nullptr;
            helpers_wanted_ = helpers;
            caller_cpu_ = this_cpu();
            ++generation_;
        }
        wake_.notify_all();
        drain(0);
        {  // no task is left: helpers that have not started, because the cores are busy, are not waited for
            std::lock_guard<std::mutex> lock(mutex_);
            helpers_wanted_ = 0;
        }
        watch_for([this] { return helpers_running_ == 0; });
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [this] { return helpers_running_ == 0; });
        if (error_) std::rethrow_exception(error_);
    }

  private:
    // As many threads as requested, or as the system allows: with fewer, the same tasks take longer.
    int grow_to(int wanted) {
        try {
            while (static_cast<int>(threads_.size()) < wanted) {
                const int worker = static_cast<int>(threads_.size()) + 1;
                threads_.emplace_back([this, worker, seen = generation_.load()] { serve(worker, seen); });
            }
            return wanted;
        } catch (const std::system_error&) {
            return static_cast<int>(threads_.size());
        }
    }

    void serve(int worker, std::uint64_t seen) {
        for (;;) {
            int caller_cpu;
            watch_for([&] { return generation_ != seen; });
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return generation_ != seen; });
                seen = generation_;
                if (worker > helpers_wanted_) continue;
                ++helpers_running_;
                caller_cpu = caller_cpu_;
            }
            leave_cpu(caller_cpu);
            drain(worker);
            std::lock_guard<std::mutex> lock(mutex_);
            if (--helpers_running_ == 0) done_.notify_one();
        }
    }

    void drain(int worker) {
        for (std::int64_t task; (task = next_.fetch_add(1)) < n_tasks_;) {
            try {
                (*body_)(task, worker);
            } catch (...) {
                std::lock_guard<std::mutex> lock(mutex_);
                if (!error_) error_ = std::current_exception();
                next_.store(n_tasks_);
            }
        }
    }

    std::mutex job_mutex_, mutex_;
    std::condition_variable wake_, done_;
    std::vector<std::thread> threads_;
    const std::function<void(std::int64_t, int)>* body_ = nullptr;
    std::int64_t n_tasks_ = 0;
    std::atomic<std::int64_t> next_{0};
    std::exception_ptr error_;
    int helpers_wanted_ = 0, caller_cpu_ = -1;
    std::atomic<int> helpers_running_{0};
    std::atomic<std::uint64_t> generation_{0};  // of jobs
};

// Never destroyed: joining threads at interpreter exit, or after a fork that did not copy them, would hang.
// A forked child has none of the parent's threads, so it makes a pool of its own.
Pool& pool() {
    static std::atomic<Pool*> current{nullptr};
    static std::atomic<pid_t> owner{0};
    static std::mutex making;
    const pid_t self = getpid();
    if (owner.load() != self) {
        std::lock_guard<std::mutex> lock(making);
        if (owner.load() != self) {
            current.store(new Pool);
            owner.store(self);
        }
    }
    return *current.load();
}

}  // namespace

int threads_for(double multiplications, int n_threads) {
    constexpr double kOfAThread = 1 << 18;
    return static_cast<int>(std::clamp(multiplications / kOfAThread, 1.0, std::max(1.0, double(n_threads))));
}

void parallel_for(std::int64_t n_tasks, int n_threads, const std::function<void(std::int64_t, int)>& body) {
    if (n_tasks <= 0) return;
    if (n_threads <= 1 || n_tasks == 1) {
        for (std::int64_t task = 0; task < n_tasks; ++task) body(task, 0);
        return;
    }
    pool().run(n_tasks, n_threads, body);
}

}  // namespace repsim
