// A GPU in small, for tests: runs an unchanged .cu file on a CPU.
//
// Each CUDA thread is a fibre. Warps run ahead of each other as far as barriers allow, and warps,
// lanes and blocks in an order drawn from the seed, so that a missing barrier gives a wrong result.
// Reported as errors: a barrier or shuffle that some thread never reaches, a misaligned 16-byte
// access, a block that is not whole warps. Not modelled: the inline assembly of dialect.h, the
// precision of __expf, and the order of memory within a warp beyond its synchronisation.
#pragma once
#define AV_EMULATED
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

#define AV_FN static inline __attribute__((always_inline))
#define AV_KERNEL(threads, blocks) extern "C" void
#define AV_SHARED static
#define AV_STRUCT const
#define __restrict__ __restrict

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;
typedef float f32;
typedef double f64;
struct f16 { u16 bits; };
struct bf16 { u16 bits; };
struct alignas(16) Word16 { u32 part[4]; };

namespace emulation {
enum State { RUNNING, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };
struct Index { u32 x, y, z; };
struct Fibre {
  ucontext_t context;
  State state;
  uint64_t sent;  // what a shuffle hands over
  std::vector<char> stack = std::vector<char>(64 << 10);
};
struct Machine {
  Index thread, block, block_size, grid;
  ucontext_t scheduler;
  std::vector<Fibre> fibres;
  std::function<void()> body;
  u32 random;
  const char* fault;
};
inline Machine machine;

inline void fail(const char* what) {
  if (!machine.fault) machine.fault = what;
}
inline void wait(State state) {
  Fibre& me = machine.fibres[machine.thread.x];
  me.state = state;
  swapcontext(&me.context, &machine.scheduler);
}
inline void run_fibre() {
  machine.body();
  wait(DONE);
}
template <class T> void shuffle(std::vector<T>& items) {
  for (size_t i = items.size(); i > 1; --i) {
    machine.random = machine.random * 1664525u + 1013904223u;
    std::swap(items[i - 1], items[(machine.random >> 8) % i]);
  }
}
inline std::vector<u32> drawn(u32 first, u32 count) {
  std::vector<u32> order(count);
  for (u32 i = 0; i < count; ++i) order[i] = first + i;
  shuffle(order);
  return order;
}
inline int count(u32 first, u32 n, State state) {
  int found = 0;
  for (u32 i = first; i < first + n; ++i) found += machine.fibres[i].state == state;
  return found;
}
// Until every lane is at a block barrier or done.
inline void run_warp(u32 first) {
  for (;;) {
    for (u32 lane : drawn(first, 32)) {
      if (machine.fibres[lane].state != RUNNING) continue;
      machine.thread.x = lane;
      swapcontext(&machine.scheduler, &machine.fibres[lane].context);
    }
    const int waiting = count(first, 32, AT_WARP_BARRIER);
    if (!waiting) return;
    if (waiting != 32) return fail("a shuffle or warp barrier is not reached by the whole warp");
    for (u32 i = first; i < first + 32; ++i) machine.fibres[i].state = RUNNING;
  }
}
inline void run_block() {
  const u32 threads = machine.block_size.x;
  for (Fibre& fibre : machine.fibres) {
    fibre.state = RUNNING;
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = fibre.stack.data();
    fibre.context.uc_stack.ss_size = fibre.stack.size();
    fibre.context.uc_link = nullptr;
    makecontext(&fibre.context, run_fibre, 0);
  }
  while (!machine.fault) {
    for (u32 warp : drawn(0, threads / 32)) run_warp(warp * 32);
    const u32 done = count(0, threads, DONE), waiting = count(0, threads, AT_BLOCK_BARRIER);
    if (done == threads || machine.fault) return;
    if (waiting != threads) return fail("a block barrier is not reached by the whole block");
    for (Fibre& fibre : machine.fibres) fibre.state = RUNNING;
  }
}
// Blocks `first` to `last` of the grid. Returns null, or what went wrong.
template <class... A, size_t... I>
const char* launch(void (*kernel)(A...), const u32* grid, u32 threads, i64 first, i64 last, u32 seed,
                   void** arguments, std::index_sequence<I...>) {
  if (threads % 32) return "the block is not whole warps";
  std::tuple<std::remove_cv_t<A>...> values{*static_cast<std::remove_cv_t<A>*>(arguments[I])...};
  machine.grid = {grid[0], grid[1], grid[2]}, machine.block_size = {threads, 1, 1};
  machine.random = seed, machine.fault = nullptr;
  machine.body = [&] { std::apply(kernel, values); };
  machine.fibres.resize(threads);
  std::vector<i64> blocks;
  for (i64 b = first; b < last; ++b) blocks.push_back(b);
  shuffle(blocks);
  for (i64 b : blocks) {
    machine.block = {u32(b % grid[0]), u32(b / grid[0] % grid[1]), u32(b / grid[0] / grid[1])};
    run_block();
    if (machine.fault) break;
  }
  machine.fibres.clear();  // unfinished ones are forgotten, not resumed
  return machine.fault;
}
template <class... A>
const char* launch(void (*kernel)(A...), const u32* grid, u32 threads, i64 first, i64 last, u32 seed,
                   void** arguments) {
  return launch(kernel, grid, threads, first, last, seed, arguments, std::index_sequence_for<A...>{});
}
inline u32 lane() { return machine.thread.x % 32; }
template <class T> T exchange(T value, u32 from) {
  static_assert(sizeof(T) <= 8, "shuffles hand over 8 bytes at most");
  memcpy(&machine.fibres[machine.thread.x].sent, &value, sizeof(T));
  const u32 first = machine.thread.x - lane();
  wait(AT_WARP_BARRIER);
  T result;
  memcpy(&result, &machine.fibres[first + from].sent, sizeof(T));
  wait(AT_WARP_BARRIER);
  return result;
}
template <class P> void check(const P* p, size_t size) {
  if ((uintptr_t)p % size) fail("a misaligned access");
}
}  // namespace emulation

#define threadIdx (emulation::machine.thread)
#define blockIdx (emulation::machine.block)
#define blockDim (emulation::machine.block_size)
#define gridDim (emulation::machine.grid)

inline void __syncthreads() { emulation::wait(emulation::AT_BLOCK_BARRIER); }
inline void __syncwarp(u32 = ~0u) { emulation::wait(emulation::AT_WARP_BARRIER); }
template <class T> T __shfl_xor_sync(u32, T v, int m) { return emulation::exchange(v, emulation::lane() ^ m); }
template <class T> T __shfl_sync(u32, T v, int from) { return emulation::exchange(v, from); }
template <class T> T __shfl_up_sync(u32, T v, u32 by) {
  const u32 lane = emulation::lane();
  return emulation::exchange(v, lane >= by ? lane - by : lane);
}
inline u32 __ballot_sync(u32, int yes) {
  auto& fibres = emulation::machine.fibres;
  const u32 me = emulation::machine.thread.x, first = me - emulation::lane();
  fibres[me].sent = yes != 0;
  emulation::wait(emulation::AT_WARP_BARRIER);
  u32 all = 0;
  for (u32 i = 0; i < 32; ++i) all |= (u32)fibres[first + i].sent << i;
  emulation::wait(emulation::AT_WARP_BARRIER);
  return all;
}
inline int __popc(u32 x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
template <class T> T atomicAdd(T* p, T v) { const T old = *p; *p = old + v; return old; }
template <class T> T atomicMin(T* p, T v) { const T old = *p; if (v < old) *p = v; return old; }
template <class T> T atomicMax(T* p, T v) { const T old = *p; if (v > old) *p = v; return old; }

AV_FN Word16 load16(const void* p) {
  emulation::check((const char*)p, 16);
  Word16 r;
  memcpy(&r, p, 16);
  return r;
}
AV_FN void store16(void* p, Word16 v) {
  emulation::check((char*)p, 16);
  memcpy(p, &v, 16);
}
AV_FN float widen(f16 v) { _Float16 h; memcpy(&h, &v.bits, 2); return (float)h; }
AV_FN float widen(bf16 v) { const u32 u = (u32)v.bits << 16; float f; memcpy(&f, &u, 4); return f; }
AV_FN void narrow(float a, f16& o) { const _Float16 h = (_Float16)a; memcpy(&o.bits, &h, 2); }
AV_FN void narrow(float a, bf16& o) {
  u32 u;
  memcpy(&u, &a, 4);
  o.bits = a != a ? (u16)0x7fc0 : (u16)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
AV_FN float av_exp(float x) { return expf(x); }
AV_FN double av_exp(double x) { return exp(x); }
AV_FN float av_floor(float x) { return floorf(x); }
AV_FN double av_floor(double x) { return floor(x); }
AV_FN float exact_mul(float a, float b) { return a * b; }  // built with -ffp-contract=off
AV_FN float exact_add(float a, float b) { return a + b; }
AV_FN void add4(float* p, float a, float b, float c, float d) {
  emulation::check(p, 16);
  p[0] += a, p[1] += b, p[2] += c, p[3] += d;
}
