/* Lists of JSON numbers into an array of float32, without a Python object for each.

   fill(body, at, out, powers) reads the flat list that begins at body[at] into the buffer `out`, which it
   has to fill exactly, and gives the position behind its end; -1 for anything that is not such a list, or
   not surely right: then the caller goes another way. A number is rounded to a double, and that to a float.

   From decimal to double: D. Lemire, "Number Parsing at a Gigabyte per Second" (2021), section 5: the digits
   as an integer of 64 bits, times the power of ten in 128 bits. `powers` are those of five, two words each,
   the high one first, normalised, from 5^-64 on.

   A bytes object ends with a zero byte, which is no part of a number: reading byte by byte stops there. Eight
   bytes are read at once only where so many are left. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define LEAST -64
#define MOST 64
#define DIGITS 19 /* so many decimals fit in 64 bits, whatever they are */

static const uint64_t TEN[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
/* What has to be less for so many more digits to fit. */
static const uint64_t ROOM[] = {
    10000000000000000000ULL, 1000000000000000000ULL, 100000000000000000ULL, 10000000000000000ULL,
    1000000000000000ULL,     100000000000000ULL,     10000000000000ULL,     1000000000000ULL,
    100000000000ULL};

static uint64_t eight_at(const unsigned char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word ^ 0x3030303030303030ULL;
}

/* The highest bit of each byte that is over nine. */
static uint64_t no_digits(uint64_t word) {
    return ((word + 0x7676767676767676ULL) | word) & 0x8080808080808080ULL;
}

/* Eight digits, the first one in the lowest byte. */
static uint64_t value_of(uint64_t word) {
    const uint64_t mask = 0x000000FF000000FFULL;
    word = word * 10 + (word >> 8);
    return ((word & mask) * 0x000F424000000064ULL + ((word >> 16) & mask) * 0x0000271000000001ULL) >> 32;
}

/* digits * 10^power as the nearest double; 0 where that takes more. */
static int scaled(uint64_t digits, int power, const uint64_t *powers, double *out) {
    if (digits == 0) {
        *out = 0.0;
        return 1;
    }
    if (power < LEAST || power > MOST)
        return 0;
    int zeros = __builtin_clzll(digits);
    const uint64_t *five = powers + 2 * (power - LEAST);
    digits <<= zeros;
    unsigned __int128 product = (unsigned __int128)digits * five[0];
    uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
    if ((high & 0x1FF) == 0x1FF) {
        uint64_t more = (uint64_t)(((unsigned __int128)digits * five[1]) >> 64);
        low += more;
        high += low < more;
        if (low == UINT64_MAX && (power < -27 || power > 55))
            return 0;
    }
    int upper = (int)(high >> 63);
    uint64_t mantissa = high >> (upper + 9);
    int exponent = ((217706 * power) >> 16) + 63 + 1023 + upper - zeros;
    if (exponent <= 0 || exponent >= 2046)
        return 0;
    if (low <= 1 && power >= -4 && power <= 23 && (mantissa & 3) == 1 && mantissa << (upper + 9) == high)
        mantissa &= ~1ULL; /* halfway between two: the even one */
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >> 53) {
        mantissa >>= 1;
        exponent++;
    }
    uint64_t bits = (mantissa & ((1ULL << 52) - 1)) | (uint64_t)exponent << 52;
    memcpy(out, &bits, sizeof bits);
    return 1;
}

/* The number at p; what follows it, or null. */
static const unsigned char *number(
    const unsigned char *p, const unsigned char *end, const uint64_t *powers, float *out) {
    int negative = *p == '-';
    p += negative;
    const unsigned char *first = p;
    uint64_t digits = 0;
    int power = 0;
    while ((unsigned)(*p - '0') <= 9 && p - first < DIGITS)
        digits = digits * 10 + (*p++ - '0');
    if (p == first || p - first == DIGITS || (*first == '0' && p - first > 1))
        return NULL;
    if (*p == '.') {
        const unsigned char *point = ++p;
        while (end - p >= 8) {
            uint64_t word = eight_at(p), over = no_digits(word);
            int count = over ? __builtin_ctzll(over) >> 3 : 8;
            if (count == 0)
                break;
            if (digits >= ROOM[count])
                return NULL;
            digits = digits * TEN[count] + value_of(word << (64 - 8 * count));
            p += count;
            if (count < 8)
                break;
        }
        for (; (unsigned)(*p - '0') <= 9; p++) {
            if (digits >= ROOM[1])
                return NULL;
            digits = digits * 10 + (*p - '0');
        }
        if (p == point)
            return NULL;
        power = -(int)(p - point < 1000 ? p - point : 1000);
    }
    if ((*p | 32) == 'e') {
        p++;
        int minus = *p == '-', exponent = 0;
        p += minus || *p == '+';
        const unsigned char *begin = p;
        for (; (unsigned)(*p - '0') <= 9; p++)
            if ((exponent = exponent * 10 + (*p - '0')) > 1000)
                return NULL;
        if (p == begin)
            return NULL;
        power += minus ? -exponent : exponent;
    }
    if (digits == 0 && p - first == 1)
        negative = 0; /* "-0" is a whole number, which has no sign there */
    double value;
    if (!scaled(digits, power, powers, &value))
        return NULL;
    *out = (float)(negative ? -value : value);
    return *out <= 3.402823466e38f && *out >= -3.402823466e38f ? p : NULL;
}

static const unsigned char *skip(const unsigned char *p) {
    while (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')
        p++;
    return p;
}

static Py_ssize_t filled(
    const char *body, Py_ssize_t size, Py_ssize_t at, const uint64_t *powers, float *out, Py_ssize_t count) {
    if (at < 0 || at >= size || body[at] != '[' || count == 0)
        return -1;
    const unsigned char *p = (const unsigned char *)body + at + 1, *end = (const unsigned char *)body + size;
    for (Py_ssize_t i = 0;; p++) {
        p = number(skip(p), end, powers, out + i);
        if (p == NULL)
            return -1;
        i++;
        if (*p != ',' || i == count) {
            p = skip(p);
            if (i == count)
                return *p == ']' ? (const char *)p + 1 - body : -1;
            if (*p != ',')
                return -1;
        }
    }
}

static PyObject *fill(PyObject *module, PyObject *arguments) {
    PyObject *body;
    Py_ssize_t at, size, end = -1;
    char *text;
    Py_buffer out, powers;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "Snw*y*", &body, &at, &out, &powers))
        return NULL;
    if (PyBytes_AsStringAndSize(body, &text, &size) == 0) {
        if (powers.len != 2 * (MOST - LEAST + 1) * (Py_ssize_t)sizeof(uint64_t))
            PyErr_SetString(PyExc_ValueError, "powers has another size");
        else
            end = filled(text, size, at, powers.buf, out.buf, out.len / (Py_ssize_t)sizeof(float));
    }
    PyBuffer_Release(&powers);
    PyBuffer_Release(&out);
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t(end);
}

static PyMethodDef METHODS[] = {{"fill", fill, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyModuleDef_Slot SLOTS[] = {{0, NULL}};
static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "nacre.modelserver._floats", NULL, 0, METHODS, SLOTS, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__floats(void) { return PyModuleDef_Init(&MODULE); }
