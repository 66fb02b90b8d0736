/* Solves a x = b by elimination with pivots, in doubles. Input: n, then n rows of n + 1 numbers, as text. Journal: the determinant and
 * the solution in hexadecimal, one a line. Exit code 1: there is no solution. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    int n;
    if (scanf("%d", &n) != 1 || n < 1 || n > 50) return 2;
    double *a = malloc((size_t)(n * (n + 1)) * sizeof *a), determinant = 1;
    for (int i = 0; i < n * (n + 1); i++) assert(scanf("%lf", &a[i]) == 1);
    for (int column = 0; column < n; column++) {
        int best = column;
        for (int row = column + 1; row < n; row++) {
            if (fabs(a[row * (n + 1) + column]) > fabs(a[best * (n + 1) + column])) best = row;
        }
        double pivot = a[best * (n + 1) + column];
        if (pivot == 0) return 1;
        for (int k = 0; best != column && k <= n; k++) {
            double other = a[best * (n + 1) + k];
            a[best * (n + 1) + k] = a[column * (n + 1) + k];
            a[column * (n + 1) + k] = other;
        }
        determinant *= best == column ? pivot : -pivot;
        for (int row = 0; row < n; row++) {
            if (row == column) continue;
            double factor = a[row * (n + 1) + column] / pivot;
            for (int k = column; k <= n; k++) a[row * (n + 1) + k] -= factor * a[column * (n + 1) + k];
        }
    }
    FILE *journal = fdopen(3, "w");
    fprintf(journal, "%a\n", determinant);
    for (int i = 0; i < n; i++) fprintf(journal, "%a\n", a[i * (n + 1) + n] / a[i * (n + 1) + i]);
    free(a);
    return 0;
}
