/* The nearest of many, without sorting: the value that cuts off the smallest is found by halving the range of values, a count of
 * eight numbers an instruction each time. (NumPy's partition takes 8 us for 1000 numbers, this about 1.)
 */
#include "nearest.h"

#include <string.h>

typedef struct {
    int64_t value; /* the count-th smallest, or any number from it up to the next larger one */
    size_t within; /* how many numbers are at most that */
} cut_t;

static size_t count_up_to(const int64_t *x, size_t n, int64_t value)
{
    int64_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += x[i] <= value;
    }
    return (size_t)count;
}

static cut_t cut_off(const int64_t *x, size_t n, size_t count)
{
    int64_t low = x[0], high = x[0];
    for (size_t i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    cut_t cut = {high, n};
    while (low < cut.value && cut.within != count) {
        const int64_t middle = low + (int64_t)(((uint64_t)cut.value - (uint64_t)low) / 2);
        const size_t within = count_up_to(x, n, middle);
        if (within >= count) {
            cut.value = middle;
            cut.within = within;
        } else {
            low = middle + 1;
        }
    }
    return cut;
}

void byz_kernels_smallest_sums(const int64_t *values, size_t rows, size_t n, size_t count, int64_t *out)
{
    for (size_t i = 0; i < rows; i++) {
        const int64_t *x = values + i * n;
        const cut_t cut = cut_off(x, n, count);
        int64_t sum = 0;
        for (size_t k = 0; k < n; k++) {
            sum += x[k] <= cut.value ? x[k] : 0;
        }
        out[i] = sum - (int64_t)(cut.within - count) * cut.value; /* numbers too many are all equal to it */
    }
}

void byz_kernels_nearest_members(const int64_t *values, size_t rows, size_t n, size_t first, size_t count, uint8_t *members)
{
    for (size_t i = 0; i < rows; i++) {
        const int64_t *x = values + i * n;
        uint8_t *member = members + i * n;
        const size_t self = first + i;
        const cut_t cut = cut_off(x, n, count);
        for (size_t k = 0; k < n; k++) {
            member[k] = x[k] <= cut.value;
        }
        for (size_t k = n, many = cut.within; many > count; k--) {
            if (x[k - 1] == cut.value && k - 1 != self) {
                member[k - 1] = 0;
                many--;
            }
        }
    }
}

/* The sum of row i's count smallest distances to others that are left, and what keeps it up to date: the largest of them,
 * and how many of them are equal to it. */
static void start_row(const int64_t *x, size_t n, size_t i, size_t count, int64_t *limit, int64_t *ties, int64_t *score)
{
    const cut_t cut = cut_off(x, n, count + 1); /* with itself, at 0 */
    int64_t largest = 0, sum = 0, equal = 0;
    for (size_t k = 0; k < n; k++) {
        const int64_t within = x[k] <= cut.value ? x[k] : 0;
        sum += within;
        largest = within > largest ? within : largest;
    }
    for (size_t k = 0; k < n; k++) {
        equal += x[k] == largest && k != i;
    }
    const int64_t many = (int64_t)(cut.within - count - 1);
    *limit = largest;
    *ties = equal - many;
    *score = sum - many * largest;
}

/* The largest distance below the limit to another that is left, and how many are equal to it. */
static void lower_limit(const int64_t *x, size_t n, size_t i, const uint8_t *kept, int64_t *limit, int64_t *ties)
{
    int64_t next = -1, equal = 0;
    for (size_t k = 0; k < n; k++) {
        const int64_t candidate = x[k] < *limit && !kept[k] && k != i ? x[k] : -1;
        next = candidate > next ? candidate : next;
    }
    for (size_t k = 0; k < n; k++) {
        equal += x[k] == next && !kept[k] && k != i;
    }
    *limit = next;
    *ties = equal;
}

/* The one nearest that is left; 0 if none is. */
static int64_t least_left(const int64_t *x, size_t n, size_t i, const uint8_t *kept)
{
    int64_t least = INT64_MAX;
    for (size_t k = 0; k < n; k++) {
        const int64_t candidate = !kept[k] && k != i ? x[k] : INT64_MAX;
        least = candidate < least ? candidate : least;
    }
    return least == INT64_MAX ? 0 : least;
}

static size_t neighbours(size_t left, size_t f)
{
    return left > f + 3 ? left - f - 2 : 1;
}

static size_t lowest(const int64_t *scores, const uint8_t *kept, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        if (!kept[i] && (best == n || scores[i] < scores[best])) {
            best = i;
        }
    }
    return best;
}

void byz_kernels_choose_by_krum(const int64_t *distances, size_t n, size_t f, size_t theta, int64_t *limits, int64_t *ties,
                                int64_t *scores, uint8_t *kept)
{
    for (size_t i = 0; i < n && n > 1; i++) {
        start_row(distances + i * n, n, i, neighbours(n, f), limits + i, ties + i, scores + i);
    }
    for (size_t left = n;; left--) {
        const size_t chosen = lowest(scores, kept, n);
        kept[chosen] = 1;
        if (n - left + 1 == theta) {
            return;
        }
        const int still_one = neighbours(left - 1, f) == neighbours(left, f);
        for (size_t i = 0; i < n; i++) {
            const int64_t *x = distances + i * n;
            if (kept[i]) {
                continue;
            }
            if (still_one) {
                scores[i] = least_left(x, n, i, kept);
            } else if (x[chosen] < limits[i]) { /* it was among the nearest, of which one less is counted now */
                scores[i] -= x[chosen];
            } else { /* one of the largest goes instead; which of equals does not show in a sum */
                scores[i] -= limits[i];
                if (--ties[i] == 0) {
                    lower_limit(x, n, i, kept, limits + i, ties + i);
                }
            }
        }
    }
}
