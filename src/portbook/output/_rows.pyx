"""The hot loop of every output, compiled: the same functions as rows.py, equal to them byte for byte.

The loop runs over C pointers without the GIL. What keeps it inside their buffers stands beside each access: rows
are held against the shortest field before the loop, codes against the number of texts inside it, and the output
grows before it is written to.
"""

from array import array

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memmove, memset, strlen

from portbook.output.fields import MOST_DECIMALS, AddressCells, EndpointCells, NumberCells, TextCells

cdef extern from "<arpa/inet.h>" nogil:
    int AF_INET6
    const char* inet_ntop(int family, const void* packed, char* text, unsigned int size)

cdef enum Kind:
    TEXT, NUMBER, ADDRESS, ENDPOINT

cdef enum:
    LONGEST = 80  # of the cells that are no texts: "[", 46 bytes of an address, "]:", 20 digits, a sign, a point

cdef const char* HEXADECIMAL = "0123456789abcdef"
cdef const uint8_t* MAPPED_PREFIX = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"
cdef const uint8_t* ABSENT_ADDRESS = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"


cdef struct Cell:
    Kind kind
    const uint8_t* prefix
    Py_ssize_t prefix_length
    Py_ssize_t width
    bint right
    const uint8_t* numbers  # codes, values or ports
    int size  # bytes of each
    bint negative  # whether they are signed
    bint has_null
    uint64_t null
    int decimals
    uint64_t scale  # 10**decimals
    const uint8_t* text
    const uint64_t* starts
    const uint32_t* widths
    uint64_t texts
    const uint8_t* packed
    const uint8_t* quote
    Py_ssize_t quote_length
    const uint8_t* absent
    Py_ssize_t absent_length


@cython.final
cdef class _Lines:
    """The fields and rows of one call as C sees them, and the bytes that they become."""

    cdef Cell* cells
    cdef Py_ssize_t count
    cdef Py_ssize_t length  # rows of the shortest field
    cdef const uint32_t* rows
    cdef Py_ssize_t start
    cdef Py_ssize_t stop
    cdef size_t longest  # bytes of a line without its texts
    cdef list views
    cdef uint8_t* output
    cdef size_t used
    cdef size_t capacity

    def __cinit__(self, fields, rows, start, stop):
        cdef Py_ssize_t place
        self.views = []
        self.count = len(fields)
        self.length = min(len(field.cells) for field in fields)
        self.cells = <Cell*>calloc(self.count, sizeof(Cell))
        if self.cells == NULL:
            raise MemoryError
        for place in range(self.count):
            self._prepare(&self.cells[place], fields[place])
        self.start, self.stop, _ = slice(start, stop).indices(self.length if rows is None else len(rows))
        if rows is not None:
            if rows.typecode != "I":
                raise TypeError(rows.typecode)
            self.rows = <const uint32_t*>self._memory(rows)
            for place in range(self.start, self.stop):
                if self.rows[place] >= <uint64_t>self.length:
                    raise IndexError(self.rows[place])

    def __dealloc__(self):
        free(self.cells)
        free(self.output)

    cdef const uint8_t* _memory(self, owner) except NULL:
        """The bytes of an object, which stay in their place as long as the lines are there."""
        cdef const uint8_t[::1] view = memoryview(owner).cast("B")
        self.views.append(view)
        return &view[0] if view.shape[0] else ABSENT_ADDRESS

    cdef int _prepare(self, Cell* cell, field) except -1:
        cells = field.cells
        cell.prefix, cell.prefix_length = self._memory(field.prefix), len(field.prefix)
        cell.width, cell.right = field.width, field.right
        if isinstance(cells, TextCells):
            self._prepare_texts(cell, cells)
        else:
            cell.absent, cell.absent_length = self._memory(cells.absent), len(cells.absent)
            if isinstance(cells, NumberCells):
                cell.kind = NUMBER
                self._prepare_numbers(cell, cells.values, cells.null)
                if not 0 <= cells.decimals <= MOST_DECIMALS:
                    raise ValueError(cells.decimals)
                cell.decimals, cell.scale = cells.decimals, 10 ** <object>cells.decimals
            elif isinstance(cells, AddressCells):
                cell.kind = ADDRESS
                cell.packed = self._memory(cells.packed)
                cell.quote, cell.quote_length = self._memory(cells.quote), len(cells.quote)
            elif isinstance(cells, EndpointCells):
                cell.kind = ENDPOINT
                cell.packed = self._memory(cells.packed)
                self._prepare_numbers(cell, cells.ports, cells.null)
            else:
                raise TypeError(cells)
        self.longest += (
            cell.prefix_length + max(cell.width, 0) + max(cell.absent_length, 2 * cell.quote_length + LONGEST)
        )
        return 0

    cdef int _prepare_texts(self, Cell* cell, cells) except -1:
        cdef uint64_t place, length = len(cells.text)
        cell.kind = TEXT
        self._prepare_numbers(cell, cells.codes, None)
        if cells.starts.typecode != "Q" or cells.widths.typecode != "I":
            raise TypeError((cells.starts.typecode, cells.widths.typecode))
        cell.text = self._memory(cells.text)
        cell.starts = <const uint64_t*>self._memory(cells.starts)
        cell.widths = <const uint32_t*>self._memory(cells.widths)
        cell.texts = min(len(cells.starts) - 1, len(cells.widths))
        # The starts are offsets into the text: one that leads out of it must not be followed.
        for place in range(cell.texts):
            if not cell.starts[place] <= cell.starts[place + 1] <= length:
                raise IndexError(cell.starts[place + 1])
        return 0

    cdef int _prepare_numbers(self, Cell* cell, numbers, null) except -1:
        if numbers.typecode not in "bBhHiIlLqQ":
            raise TypeError(numbers.typecode)
        cell.numbers, cell.size = self._memory(numbers), numbers.itemsize
        cell.negative = numbers.typecode.islower()
        # A null that the type cannot hold is nobody's value.
        if null is not None and cell.negative and -(1 << 63) <= null < 1 << 63:
            cell.has_null, cell.null = True, <uint64_t><int64_t>null
        elif null is not None and not cell.negative and 0 <= null < 1 << 64:
            cell.has_null, cell.null = True, <uint64_t>null
        return 0

    cdef int reserve(self, size_t wanted) except -1 nogil:
        """Make room for so many bytes after those that are used."""
        cdef uint8_t* grown
        if self.capacity - self.used >= wanted:
            return 0
        grown = <uint8_t*>realloc(self.output, self.capacity * 2 + wanted)
        if grown == NULL:
            with gil:
                raise MemoryError
        self.output = grown
        self.capacity = self.capacity * 2 + wanted
        return 0

    cdef int64_t code(self, const Cell* cell, Py_ssize_t row) except -1 nogil:
        """The number of the text in a row, which is one that exists."""
        cdef uint64_t code = _number(cell, row)
        if code >= cell.texts:
            with gil:
                raise IndexError(code)
        return code

    cdef int render(self, const uint8_t* end, Py_ssize_t end_length) except -1 nogil:
        cdef Py_ssize_t place, index, row, length, filling
        cdef size_t longest = self.longest + end_length
        cdef const Cell* cell
        cdef uint8_t* here
        cdef int64_t code
        for place in range(self.start, self.stop):
            row = place if self.rows == NULL else self.rows[place]
            self.reserve(longest)
            for index in range(self.count):
                cell = &self.cells[index]
                memcpy(self.output + self.used, cell.prefix, cell.prefix_length)
                self.used += cell.prefix_length
                if cell.kind == TEXT:
                    code = self.code(cell, row)
                    length = cell.starts[code + 1] - cell.starts[code]
                    self.reserve(longest + length)
                    here = self.output + self.used
                    memcpy(here, cell.text + cell.starts[code], length)
                    filling = cell.width - <Py_ssize_t>cell.widths[code]
                else:
                    here = self.output + self.used
                    length = _put_cell(cell, row, here)
                    filling = cell.width - length
                self.used += length
                if filling > 0:
                    if cell.right:
                        memmove(here + filling, here, length)
                        length = 0
                    memset(here + length, 32, filling)
                    self.used += filling
            memcpy(self.output + self.used, end, end_length)
            self.used += end_length
        return 0

    cdef int measure(self, int64_t[::1] widest) except -1 nogil:
        cdef Py_ssize_t place, index, row
        cdef int64_t width
        cdef const Cell* cell
        self.reserve(self.longest)
        for index in range(self.count):
            cell = &self.cells[index]
            for place in range(self.start, self.stop):
                row = place if self.rows == NULL else self.rows[place]
                if cell.kind == TEXT:
                    width = cell.widths[self.code(cell, row)]
                else:
                    width = _put_cell(cell, row, self.output)
                if width > widest[index]:
                    widest[index] = width
        return 0


cdef inline uint64_t _number(const Cell* cell, Py_ssize_t row) noexcept nogil:
    """The row's number; a negative one as its two's complement of 64 bits."""
    if cell.size == 8:
        return (<const uint64_t*>cell.numbers)[row]
    if cell.negative:
        if cell.size == 4:
            return <uint64_t><int64_t>(<const int32_t*>cell.numbers)[row]
        if cell.size == 2:
            return <uint64_t><int64_t>(<const int16_t*>cell.numbers)[row]
        return <uint64_t><int64_t>(<const int8_t*>cell.numbers)[row]
    if cell.size == 4:
        return (<const uint32_t*>cell.numbers)[row]
    if cell.size == 2:
        return (<const uint16_t*>cell.numbers)[row]
    return cell.numbers[row]


cdef inline Py_ssize_t _put_digits(uint64_t value, uint8_t* out) noexcept nogil:
    """Write the digits of a number and return how many they are; 20 bytes are written whatever it is."""
    cdef uint8_t digits[40]
    cdef int place = 19
    while value >= 10:
        digits[place] = 48 + <uint8_t>(value % 10)
        value //= 10
        place -= 1
    digits[place] = 48 + <uint8_t>value
    memcpy(out, digits + place, 20)
    return 20 - place


cdef inline Py_ssize_t _put_number(const Cell* cell, uint64_t value, uint8_t* out) noexcept nogil:
    cdef Py_ssize_t length = 0
    cdef uint64_t part
    cdef int places = cell.decimals
    if cell.negative and <int64_t>value < 0:
        out[0] = 45
        length = 1
        value = 0 - value
    if not places:
        return length + _put_digits(value, out + length)
    length += _put_digits(value // cell.scale, out + length)
    part = value % cell.scale
    out[length] = 46
    length += 1
    while places > 1 and part % 10 == 0:
        part //= 10
        places -= 1
    length += places
    for places in range(1, places + 1):
        out[length - places] = 48 + <uint8_t>(part % 10)
        part //= 10
    return length


cdef inline Py_ssize_t _put_ipv4(const uint8_t* octets, uint8_t* out) noexcept nogil:
    cdef Py_ssize_t length = 0
    cdef int place
    for place in range(4):
        length += _put_digits(octets[place], out + length)
        out[length] = 46
        length += 1
    return length - 1


cdef Py_ssize_t _put_ipv6(const uint8_t* packed, uint8_t* out) noexcept nogil:
    cdef uint32_t groups[8]
    cdef int place, shift, base = -1, longest = 1, run = 0
    cdef Py_ssize_t length = 0
    for place in range(8):
        groups[place] = packed[place * 2] << 8 | packed[place * 2 + 1]
        run = run + 1 if groups[place] == 0 else 0
        if run > longest:
            longest, base = run, place - run + 1
    if base == 0 and (longest == 6 or (longest == 7 and groups[7] != 1)):
        # IPv4-compatible addresses: whether they are written with dots is the system's choice.
        inet_ntop(AF_INET6, packed, <char*>out, 46)
        return strlen(<char*>out)
    place = 0
    while place < 8:
        if place or place == base:
            out[length] = 58
            length += 1
        if place == base:
            place += longest
            if place == 8:
                out[length] = 58
                length += 1
            continue
        for shift in range(12, -1, -4):
            if shift == 0 or groups[place] >> shift:
                out[length] = HEXADECIMAL[groups[place] >> shift & 15]
                length += 1
        place += 1
    return length


cdef inline Py_ssize_t _put_endpoint(const Cell* cell, Py_ssize_t row, uint8_t* out) noexcept nogil:
    """Write the endpoint and return its length, 0 when both its address and its port are absent."""
    cdef const uint8_t* packed = cell.packed + row * 16
    cdef uint64_t port = _number(cell, row)
    cdef bint portless = cell.has_null and port == cell.null
    cdef Py_ssize_t length
    if memcmp(packed, ABSENT_ADDRESS, 16) == 0:
        if portless:
            return 0
        out[0] = 42
        length = 1
    elif memcmp(packed, MAPPED_PREFIX, 12) == 0:
        length = _put_ipv4(packed + 12, out)
    else:
        out[0] = 91
        length = 1 + _put_ipv6(packed, out + 1)
        out[length] = 93
        length += 1
    out[length] = 58
    length += 1
    if portless:
        out[length] = 42
        return length + 1
    return length + _put_number(cell, port, out + length)


cdef inline Py_ssize_t _put_cell(const Cell* cell, Py_ssize_t row, uint8_t* out) noexcept nogil:
    """Write the cell of a row that is no text, at most LONGEST bytes and its quotes, and return its length."""
    cdef const uint8_t* packed
    cdef uint64_t value
    cdef Py_ssize_t length = 0
    if cell.kind == NUMBER:
        value = _number(cell, row)
        if not (cell.has_null and value == cell.null):
            return _put_number(cell, value, out)
    elif cell.kind == ENDPOINT:
        length = _put_endpoint(cell, row, out)
        if length:
            return length
    else:
        packed = cell.packed + row * 16
        if memcmp(packed, ABSENT_ADDRESS, 16) != 0:
            memcpy(out, cell.quote, cell.quote_length)
            length = cell.quote_length
            if memcmp(packed, MAPPED_PREFIX, 12) == 0:
                length += _put_ipv4(packed + 12, out + length)
            else:
                length += _put_ipv6(packed, out + length)
            memcpy(out + length, cell.quote, cell.quote_length)
            return length + cell.quote_length
    memcpy(out, cell.absent, cell.absent_length)
    return cell.absent_length


def measure(fields, rows):
    """As rows.measure."""
    cdef _Lines lines = _Lines(fields, rows, 0, None)
    widest = array("q", bytes(8 * lines.count))
    cdef int64_t[::1] widths = widest
    with nogil:
        lines.measure(widths)
    return widest.tolist()


def render(fields, rows, start, stop, bytes end):
    """As rows.render."""
    cdef _Lines lines = _Lines(fields, rows, start, stop)
    cdef const uint8_t* line_end = end
    cdef Py_ssize_t length = len(end)
    with nogil:
        lines.render(line_end, length)
    return PyBytes_FromStringAndSize(<char*>lines.output, lines.used)
