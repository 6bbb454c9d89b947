/* Which sources this library was built from. */
#include "byz_kernels.h"

#ifndef BYZ_SOURCE_SHA256
#define BYZ_SOURCE_SHA256 ""
#endif

const char *byz_kernels_source_sha256(void)
{
    return BYZ_SOURCE_SHA256;
}
