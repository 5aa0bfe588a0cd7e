#include "cuda_on_cpu.h"

#include <memory>
#include <numeric>
#include <random>
#include <vector>

#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace cuda_on_cpu {
namespace {

constexpr std::size_t kStackBytes = 64 << 10;
constexpr unsigned kWarp = 32;

// --- Fibers: two ways to hold and change the point of execution.
#ifdef __x86_64__
// Saves the callee-saved registers on the stack that is left and takes them from the one that is entered.
extern "C" void cuda_on_cpu_switch(void** left, void* entered);
asm(R"(
.text
.globl cuda_on_cpu_switch
.type cuda_on_cpu_switch,@function
cuda_on_cpu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_on_cpu_switch,.-cuda_on_cpu_switch
)");
struct Context {
    void* stack_pointer = nullptr;
    void start(char* stack, void (*entry)()) {
        auto* top =
            reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(stack + kStackBytes) & ~std::uintptr_t{15});
        *--top = nullptr;  // where entry() would return to
        *--top = reinterpret_cast<void*>(entry);
        for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
        stack_pointer = top;
    }
    void switch_to(Context& other) { cuda_on_cpu_switch(&stack_pointer, other.stack_pointer); }
};
#else
struct Context {
    ucontext_t state{};
    void start(char* stack, void (*entry)()) {
        getcontext(&state);
        state.uc_stack.ss_sp = stack;
        state.uc_stack.ss_size = kStackBytes;
        makecontext(&state, entry, 0);
    }
    void switch_to(Context& other) { swapcontext(&state, &other.state); }
};
#endif

struct Thread {
    Context context;
    uint3 index{};
    unsigned linear = 0;
    bool done = false;
};

struct Warp {
    std::uint64_t passed[kWarp] = {}, seen[kWarp] = {};
    unsigned arrived = 0, exited = 0;  // lanes that wait in an exchange; lanes that have ended
};

struct Block {
    const std::function<void()>* kernel = nullptr;
    dim3 grid, size;
    uint3 index{};
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    char* stacks = nullptr;
    std::vector<char> shared;
    Context scheduler;
    Thread* current = nullptr;
    unsigned alive = 0, waiting = 0;
    unsigned long round = 0;
    unsigned long progress = 0;  // barriers passed, exchanges made, threads ended
};

Block* running = nullptr;
Order fiber_order = Order::forward;
std::mt19937_64 shuffler;

void yield() { running->current->context.switch_to(running->scheduler); }

unsigned lanes_of(const Block& block, unsigned warp) {
    const unsigned here = std::min(kWarp, static_cast<unsigned>(block.threads.size()) - warp * kWarp);
    return here == kWarp ? ~0u : (1u << here) - 1;
}

void release_block_if_complete(Block& block) {
    if (block.alive == 0 || block.waiting < block.alive) return;
    block.waiting = 0;
    ++block.round;
    ++block.progress;
}

void thread_main() {
    (*running->kernel)();
    Block& block = *running;
    Thread& self = *block.current;
    self.done = true;
    --block.alive;
    ++block.progress;
    block.warps[self.linear / kWarp].exited |= 1u << self.linear % kWarp;
    release_block_if_complete(block);
    yield();
}

std::vector<unsigned> turns(unsigned n) {
    std::vector<unsigned> order(n);
    std::iota(order.begin(), order.end(), 0u);
    if (fiber_order == Order::reverse) std::reverse(order.begin(), order.end());
    if (fiber_order == Order::random) std::shuffle(order.begin(), order.end(), shuffler);
    return order;
}

// The stacks of all fibers, kept from launch to launch: fresh memory would be most of the time.
char* stacks_for(std::size_t n) {
    static std::unique_ptr<char[]> stacks;
    static std::size_t held = 0;
    if (held < n) {
        stacks.reset(new char[n * kStackBytes]);
        held = n;
    }
    return stacks.get();
}

bool run_block(Block& block) {
    const auto n = static_cast<unsigned>(block.threads.size());
    block.alive = n;
    block.waiting = 0;
    block.warps.assign((n + kWarp - 1) / kWarp, Warp{});
    std::fill(block.shared.begin(), block.shared.end(), static_cast<char>(0xcd));  // shared memory starts undefined
    for (unsigned i = 0; i < n; ++i) {
        Thread& thread = block.threads[i];
        thread.done = false;
        thread.linear = i;
        thread.index = {i % block.size.x, i / block.size.x % block.size.y, i / block.size.x / block.size.y};
        thread.context.start(block.stacks + i * kStackBytes, thread_main);
    }
    while (block.alive > 0) {
        const unsigned long before = block.progress;
        for (unsigned i : turns(n)) {
            if (block.threads[i].done) continue;
            block.current = &block.threads[i];
            block.scheduler.switch_to(block.current->context);
        }
        if (block.progress == before && block.alive > 0) return false;  // a whole round, and nobody got further
    }
    return true;
}

}  // namespace

void set_order(Order order, std::uint64_t seed) {
    fiber_order = order;
    shuffler.seed(seed);
}

cudaError_t run(dim3 grid, dim3 size, std::size_t shared_bytes, const std::function<void()>& kernel) {
    const std::size_t n = static_cast<std::size_t>(size.x) * size.y * size.z;
    if (n == 0 || n > 1024 || size.z > 64 || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu ||
        grid.y > 65535 || grid.z > 65535 || shared_bytes > 227 * 1024)
        return cudaErrorInvalidConfiguration;
    Block block;
    block.kernel = &kernel;
    block.grid = grid;
    block.size = size;
    block.threads.resize(n);
    block.stacks = stacks_for(n);
    block.shared.resize(shared_bytes + 64);
    running = &block;
    bool fine = true;
    for (unsigned z = 0; z < grid.z && fine; ++z)
        for (unsigned y = 0; y < grid.y && fine; ++y)
            for (unsigned x = 0; x < grid.x && fine; ++x) {
                block.index = {x, y, z};
                fine = run_block(block);
            }
    running = nullptr;
    return fine ? cudaSuccess : cudaErrorLaunchFailure;
}

void* dynamic_shared() {
    const auto at = reinterpret_cast<std::uintptr_t>(running->shared.data());
    return reinterpret_cast<void*>((at + 63) & ~std::uintptr_t{63});
}
uint3 thread_index() { return running->current->index; }
uint3 block_index() { return running->index; }
dim3 block_size() { return running->size; }
dim3 grid_size() { return running->grid; }
unsigned lane() { return running->current->linear % kWarp; }

void wait_for_block() {
    Block& block = *running;
    const unsigned long round = block.round;
    ++block.waiting;
    release_block_if_complete(block);
    while (block.round == round) yield();
}

const std::uint64_t* exchange(unsigned mask, std::uint64_t value) {
    Block& block = *running;
    const unsigned index = block.current->linear / kWarp;
    Warp& warp = block.warps[index];
    const unsigned needed = mask & lanes_of(block, index) & ~warp.exited, self = lane();
    warp.passed[self] = value;
    warp.arrived |= 1u << self;
    if ((warp.arrived & needed) == needed) {
        for (unsigned i = 0; i < kWarp; ++i)
            if (needed >> i & 1) warp.seen[i] = warp.passed[i];
        warp.arrived &= ~needed;
        ++block.progress;
    } else {
        while (warp.arrived >> self & 1) yield();
    }
    return warp.seen;
}

}  // namespace cuda_on_cpu
