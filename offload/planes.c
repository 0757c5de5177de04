/* Low blocks become blocks: see planes.h. Sixteen codes are looked up at once where the processor can do that. */
#include "planes.h"

#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <tmmintrin.h>
#define WHERE_QUICK __attribute__((target("ssse3")))
#elif defined(__aarch64__)
#include <arm_neon.h>
#define WHERE_QUICK
#endif

#define INLINE static inline __attribute__((always_inline))

typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef uint64_t Pair __attribute__((vector_size(16)));
typedef Bytes LookUp(Bytes table, Bytes index); /* of indices below 16 */

INLINE Bytes taken(const uint8_t *from) {
    Bytes bytes;
    memcpy(&bytes, from, sizeof bytes);
    return bytes;
}

INLINE void put(uint8_t *to, Bytes bytes) { memcpy(to, &bytes, sizeof bytes); }

static Bytes look_up_plain(Bytes table, Bytes index) {
    uint8_t entries[16], found[16];
    put(entries, table);
    put(found, index);
    for (int i = 0; i < 16; i++) found[i] = entries[found[i]];
    return taken(found);
}

INLINE void expand_q4_0(LookUp *look_up, Bytes table, const uint8_t *codes, uint8_t *block) {
    uint64_t both;
    memcpy(&both, codes + 2, 8);
    memcpy(block, codes, 2);
    put(block + 2, look_up(table, (Bytes) (Pair){both & 0x0f0f0f0f0f0f0f0f, both >> 4 & 0x0f0f0f0f0f0f0f0f}));
}

/* 16 bytes with two codes each become 32 bytes. */
INLINE void expand_pairs(LookUp *look_up, Bytes table, const uint8_t *codes, uint8_t *out) {
    Bytes both = taken(codes);
    put(out, look_up(table, both & 15));
    put(out + 16, look_up(table, both >> 4));
}

/* 16 of the 32 bytes in which Q6_K keeps two high bits each of four quants, and the 32 of their low bits. */
INLINE void expand_q6_k(LookUp *look_up, Bytes table, Bytes most, Bytes rest, uint8_t *ql, uint8_t *qh) {
    Bytes low = table & 15, high = table >> 4 & 3;
    Bytes a = most & 7, b = most >> 6 | (rest & 1) << 2, c = most >> 3 & 7, d = rest >> 1;
    put(ql, look_up(low, a) | look_up(low << 4, c));
    put(ql + 32, look_up(low, b) | look_up(low << 4, d));
    put(qh, look_up(high, a) | look_up(high << 2, b) | look_up(high << 4, c) | look_up(high << 6, d));
}

INLINE void expand(LookUp *look_up, int32_t format, Bytes table, const uint8_t *codes, uint8_t *blocks, int64_t count) {
    switch (format) {
    case PLANE_Q4_0:
        for (; count > 0; count--, codes += 10, blocks += 18) expand_q4_0(look_up, table, codes, blocks);
        break;
    case PLANE_Q8_0:
        for (; count > 0; count--, codes += 18, blocks += 34) {
            memcpy(blocks, codes, 2);
            expand_pairs(look_up, table, codes + 2, blocks + 2);
        }
        break;
    case PLANE_Q4_K:
        for (; count > 0; count--, codes += 80, blocks += 144) {
            memcpy(blocks, codes, 16);
            for (int i = 0; i < 4; i++) expand_pairs(look_up, table, codes + 16 + 16 * i, blocks + 16 + 32 * i);
        }
        break;
    case PLANE_Q6_K:
        for (; count > 0; count--, codes += 114, blocks += 210) {
            for (int half = 0; half < 2; half++) {
                const uint8_t *from = codes + 48 * half;
                uint8_t *ql = blocks + 64 * half, *qh = blocks + 128 + 32 * half;
                Bytes rest = taken(from + 32);
                expand_q6_k(look_up, table, taken(from), rest & 15, ql, qh);
                expand_q6_k(look_up, table, taken(from + 16), rest >> 4, ql + 16, qh + 16);
            }
            memcpy(blocks + 192, codes + 96, 18);
        }
    }
}

#ifdef WHERE_QUICK
WHERE_QUICK static inline Bytes look_up_quick(Bytes table, Bytes index) {
#ifdef __aarch64__
    return (Bytes) vqtbl1q_u8((uint8x16_t) table, (uint8x16_t) index);
#else
    return (Bytes) _mm_shuffle_epi8((__m128i) table, (__m128i) index);
#endif
}

WHERE_QUICK static void expand_quick(
    int32_t format, Bytes table, const uint8_t *codes, uint8_t *blocks, int64_t count
) {
    expand(look_up_quick, format, table, codes, blocks, count);
}

static int quick(void) {
#ifdef __aarch64__
    return 1; /* always has these instructions */
#else
    return __builtin_cpu_supports("ssse3");
#endif
}
#endif

void accel_planes_expand(int32_t format, const uint8_t *table, const uint8_t *codes, uint8_t *blocks, int64_t count) {
#ifdef WHERE_QUICK
    if (quick()) {
        expand_quick(format, taken(table), codes, blocks, count);
        return;
    }
#endif
    expand(look_up_plain, format, taken(table), codes, blocks, count);
}
