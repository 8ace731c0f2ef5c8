// What our .cu files are written in, so that one text serves a GPU and its emulation in the tests:
//   * no header of CUDA or of the system: nothing to find at run time, and NVRTC takes a tenth;
//   * 16-bit floats are storage only, sums are in AccOf<T>::type;
//   * pointers are to global memory, sizes int, offsets that may pass 2^31 i64;
//   * blocks are whole warps, and no thread leaves before the last barrier or shuffle.
// The emulation defines AV_EMULATED and, in place of the first part, its own.
#pragma once

#ifndef AV_EMULATED
#define AV_FN static __device__ __forceinline__
#define AV_KERNEL(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)
#define AV_SHARED __shared__
#define AV_STRUCT const __grid_constant__  // by value, and indexed at run time without a local copy
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;
typedef float f32;
typedef double f64;
struct f16 { u16 bits; };
struct bf16 { u16 bits; };
struct alignas(16) Word16 { u32 part[4]; };

AV_FN Word16 load16(const void* p) {  // read-only data, 16 bytes at once
  Word16 r;
  asm("ld.global.nc.v4.u32 {%0,%1,%2,%3}, [%4];"
      : "=r"(r.part[0]), "=r"(r.part[1]), "=r"(r.part[2]), "=r"(r.part[3]) : "l"(p));
  return r;
}
AV_FN void store16(void* p, Word16 v) {
  asm volatile("st.global.v4.u32 [%0], {%1,%2,%3,%4};"
               :: "l"(p), "r"(v.part[0]), "r"(v.part[1]), "r"(v.part[2]), "r"(v.part[3]) : "memory");
}
AV_FN float widen(f16 v) { float f; asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(v.bits)); return f; }
AV_FN float widen(bf16 v) { return __uint_as_float((u32)v.bits << 16); }
AV_FN void narrow(float a, f16& o) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(o.bits) : "f"(a)); }
AV_FN void narrow(float a, bf16& o) {
#if __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(o.bits) : "f"(a));
#else  // to nearest, ties to even, NaN stays NaN
  const u32 u = __float_as_uint(a);
  o.bits = a != a ? (u16)0x7fc0 : (u16)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
#endif
}
AV_FN float av_exp(float x) { return __expf(x); }
AV_FN double av_exp(double x) { return exp(x); }
AV_FN float av_floor(float x) { return floorf(x); }
AV_FN double av_floor(double x) { return floor(x); }
// Rounded each on its own, never fused: the same bits on every machine.
AV_FN float exact_mul(float a, float b) { return __fmul_rn(a, b); }
AV_FN float exact_add(float a, float b) { return __fadd_rn(a, b); }
AV_FN void add4(float* p, float a, float b, float c, float d) {  // atomic, each for itself
#if __CUDA_ARCH__ >= 900
  asm volatile("red.global.add.v4.f32 [%0], {%1,%2,%3,%4};"
               :: "l"(p), "f"(a), "f"(b), "f"(c), "f"(d) : "memory");
#else
  atomicAdd(p, a), atomicAdd(p + 1, b), atomicAdd(p + 2, c), atomicAdd(p + 3, d);
#endif
}
#endif

AV_FN float widen(u8 v) { return v; }
AV_FN float widen(float v) { return v; }
AV_FN double widen(double v) { return v; }
AV_FN void narrow(float a, u8& o) { o = (u8)a; }
AV_FN void narrow(float a, float& o) { o = a; }
AV_FN void narrow(double a, double& o) { o = a; }

constexpr u32 WHOLE_WARP = 0xffffffffu;

template <class T> struct AccOf { typedef float type; };
template <> struct AccOf<double> { typedef double type; };

template <class A> AV_FN A av_max(A a, A b) { return a > b ? a : b; }
template <class A> AV_FN A av_min(A a, A b) { return a < b ? a : b; }

template <class A> AV_FN A warp_sum(A v, int lanes) {
#pragma unroll
  for (int d = lanes / 2; d; d >>= 1) v += __shfl_xor_sync(WHOLE_WARP, v, d);
  return v;
}
template <class A> AV_FN A warp_max(A v, int lanes) {
#pragma unroll
  for (int d = lanes / 2; d; d >>= 1) v = av_max(v, __shfl_xor_sync(WHOLE_WARP, v, d));
  return v;
}

// 16 bytes of T at an address that is a multiple of 16.
template <class T> constexpr int LANE = 16 / (int)sizeof(T);
template <class T> AV_FN void load(const T* p, typename AccOf<T>::type (&out)[LANE<T>]) {
  union { Word16 word; T each[LANE<T>]; } u;
  u.word = load16(p);
#pragma unroll
  for (int i = 0; i < LANE<T>; ++i) out[i] = widen(u.each[i]);
}
template <class T> AV_FN void store(T* p, const typename AccOf<T>::type (&in)[LANE<T>]) {
  union { Word16 word; T each[LANE<T>]; } u;
#pragma unroll
  for (int i = 0; i < LANE<T>; ++i) narrow(in[i], u.each[i]);
  store16(p, u.word);
}
