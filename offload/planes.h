/* Low blocks: stand-ins of quantised blocks in about half their bytes, and back into blocks that any kernel of the
 * format takes. A low block keeps the block's scales and holds, for every quant, the number of one of a few levels.
 *
 *         block  low  bits  codes
 *   Q4_0     18   10     2  of d: 8 bytes; code byte k holds those of quant bytes k (low half) and k + 8
 *   Q8_0     34   18     4  of d: 16 bytes; code byte k holds those of quants k and k + 16
 *   Q4_K    144   80     2  of d, dmin and scales: 64 bytes in fours of 16; as in Q4_0, with k + 16
 *   Q6_K    210  114     3  of 128 quants, twice: in 32 bytes the codes of quants l and l + 64 and two bits of l + 32;
 *                           in 16 bytes the third bit of l + 32 and the code of l + 96, for l (low half) and l + 16;
 *                           then scales and d
 *
 * A table is 16 bytes: what a byte of quants becomes for each pair of 2-bit codes (the low half's code is the low one),
 * for each 4-bit code, or, in its first 8 bytes, a 6-bit quant for each 3-bit code.
 */
#ifndef ACCEL_PLANES_H
#define ACCEL_PLANES_H

#include <stdint.h>

enum { PLANE_Q4_0, PLANE_Q8_0, PLANE_Q4_K, PLANE_Q6_K };

/* Turns `count` low blocks into blocks. Neither needs to be aligned; they must not overlap. */
void accel_planes_expand(int32_t format, const uint8_t *table, const uint8_t *codes, uint8_t *blocks, int64_t count);

#endif
