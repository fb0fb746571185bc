"""The compiled twin of sock_diag.py: the same `decode`, for the transports that come in hundreds of thousands.

UNIX and SCTP sockets are left to the reference. Every offset is checked against the buffer before it is read.
"""

from cpython cimport array
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Resize
from libc.string cimport memcpy, memset
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from portbook import tcp
from portbook.endpoint import DATAGRAM_TRANSPORTS, SCTP, TCP, UNIX
from portbook.errors import Malformed
from portbook.socket import DETAILS
from portbook.wire import netlink
from portbook.wire import sock_diag as reference

cdef enum:
    MAX_DETAILS = 16
    HEADER_SIZE = 16

cdef Py_ssize_t MESSAGE = reference.INET_MESSAGE_LENGTH
cdef uint16_t BY_FAMILY = reference.SOCK_DIAG_BY_FAMILY, GETSOCK = reference.TCPDIAG_GETSOCK
cdef uint16_t NOOP = netlink.NLMSG_NOOP, ERROR = netlink.NLMSG_ERROR
cdef uint16_t DONE = netlink.NLMSG_DONE, OVERRUN = netlink.NLMSG_OVERRUN
cdef uint16_t INTERRUPTED = netlink.NLM_F_DUMP_INTR
cdef uint8_t INET = reference.AF_INET, INET6 = reference.AF_INET6
cdef uint16_t ATTRIBUTE_TYPE = 0x3FFF
cdef uint16_t V6ONLY = reference.INET_DIAG_SKV6ONLY, CGROUP = reference.INET_DIAG_CGROUP_ID
cdef uint16_t INFO = reference.INET_DIAG_INFO, CONGESTION = reference.INET_DIAG_CONG
cdef uint8_t OVER_TCP = TCP
cdef uint8_t LISTEN = tcp.LISTEN, STATES_END = tcp.KERNEL_STATES.stop
cdef uint8_t DATAGRAM_STATES[16]
for _state in tcp.KERNEL_STATES:
    DATAGRAM_STATES[_state] = tcp.DATAGRAM_STATES.get(_state, _state)
cdef uint32_t FIN_RECEIVED = sum(1 << state for state in tcp.FIN_RECEIVED)
cdef Py_ssize_t RETRANSMITTED = reference.BYTES_RETRANSMITTED

# What tcp_info holds, in the order of the reference: offset, size, and which two are corrected.
DETAIL_NAMES = list(reference.TCP_INFO)
cdef Py_ssize_t detail_count = len(DETAIL_NAMES)
cdef Py_ssize_t detail_offset[MAX_DETAILS]
cdef Py_ssize_t detail_size[MAX_DETAILS]
cdef Py_ssize_t sent_detail = DETAIL_NAMES.index("bytes_sent")
cdef Py_ssize_t received_detail = DETAIL_NAMES.index("bytes_received")
for _number, _name in enumerate(DETAIL_NAMES):
    detail_offset[_number] = reference.TCP_INFO[_name][1]
    detail_size[_number] = 4 if DETAILS[_name] == "I" else 8

cdef struct Rows:
    # Where the next row of each array is written.
    uint8_t *transport
    uint8_t *family
    uint8_t *state
    uint8_t *timer
    uint8_t *v6only
    uint16_t *local_port
    uint16_t *remote_port
    uint32_t *interface
    uint32_t *recv_queue
    uint32_t *send_queue
    uint32_t *uid
    uint32_t *inode
    uint32_t *expires
    uint64_t *cookie
    uint64_t *cgroup
    uint8_t *local_ip
    uint8_t *remote_ip
    void *details[MAX_DETAILS]

cdef struct Scan:
    Py_ssize_t rows
    Py_ssize_t end
    bint done
    bint interrupted
    int32_t code
    const char *malformed


cdef inline uint16_t u16(const uint8_t *at) noexcept nogil:
    cdef uint16_t value
    memcpy(&value, at, 2)
    return value


cdef inline uint32_t u32(const uint8_t *at) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, at, 4)
    return value


cdef inline uint64_t u64(const uint8_t *at) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, at, 8)
    return value


cdef inline uint16_t port(const uint8_t *at) noexcept nogil:
    return <uint16_t>((at[0] << 8) | at[1])


cdef Scan scan(const uint8_t *data, Py_ssize_t size) noexcept nogil:
    """Check every message header up to the end of the dump, and count the rows."""
    cdef Scan found
    cdef Py_ssize_t offset = 0, length
    cdef uint16_t kind
    memset(&found, 0, sizeof(Scan))
    while offset < size:
        if size - offset < HEADER_SIZE:
            found.malformed = "a netlink header is cut short"
            return found
        length = u32(data + offset)
        if length < HEADER_SIZE or length > size - offset:
            found.malformed = "a netlink message is longer than its buffer"
            return found
        kind = u16(data + offset + 4)
        if u16(data + offset + 6) & INTERRUPTED:
            found.interrupted = True
        if kind == BY_FAMILY or kind == GETSOCK:
            found.rows += 1
        elif kind == DONE or kind == ERROR:
            found.done = True
            if length >= HEADER_SIZE + 4:
                found.code = <int32_t>u32(data + offset + HEADER_SIZE)
                if found.code > 0 or found.code <= -4096:
                    found.malformed = "a netlink error has no errno"
                    return found
            elif kind == ERROR:
                found.malformed = "a netlink error is cut short"
                return found
            break
        elif kind == OVERRUN:
            found.interrupted = True
        elif kind != NOOP:
            found.malformed = "a netlink message of a type that was not asked for"
            return found
        offset += (length + 3) & ~3
    found.end = min(offset, size)
    return found


cdef const char *fill(
    const uint8_t *data, Py_ssize_t end, uint8_t transport, bint datagram, Rows *to, bint detailed, uint32_t *names
) noexcept nogil:
    """Write a row for each message; `names` receives offset and length of each congestion control's name."""
    cdef Py_ssize_t offset = 0, row = 0, length, at, stop, size
    cdef const uint8_t *message
    cdef const uint8_t *info
    cdef Py_ssize_t info_size
    cdef uint16_t kind
    while offset < end:
        length = u32(data + offset)
        kind = u16(data + offset + 4)
        if kind != BY_FAMILY and kind != GETSOCK:
            offset += (length + 3) & ~3
            continue
        if length < HEADER_SIZE + MESSAGE:
            return "an inet_diag message is cut short"
        message = data + offset + HEADER_SIZE
        if message[0] == INET:
            to.family[row] = 0
            memset(to.local_ip + row * 16, 0, 10)
            memset(to.local_ip + row * 16 + 10, 0xFF, 2)
            memcpy(to.local_ip + row * 16 + 12, message + 8, 4)
            if u32(message + 24) == 0:
                memset(to.remote_ip + row * 16, 0xFF, 16)
            else:
                memset(to.remote_ip + row * 16, 0, 10)
                memset(to.remote_ip + row * 16 + 10, 0xFF, 2)
                memcpy(to.remote_ip + row * 16 + 12, message + 24, 4)
        elif message[0] == INET6:
            to.family[row] = 1
            memcpy(to.local_ip + row * 16, message + 8, 16)
            if u64(message + 24) == 0 and (
                u64(message + 32) == 0
                or (u32(message + 36) == 0 and u16(message + 32) == 0 and u16(message + 34) == 0xFFFF)
            ):
                memset(to.remote_ip + row * 16, 0xFF, 16)
            else:
                memcpy(to.remote_ip + row * 16, message + 24, 16)
        else:
            return "an inet_diag message of another address family"
        if message[1] == 0 or message[1] >= STATES_END:
            return "an inet_diag message with an unknown state"
        to.transport[row] = transport
        to.state[row] = DATAGRAM_STATES[message[1]] if datagram else message[1]
        to.timer[row] = message[2]
        to.local_port[row] = port(message + 4)
        to.remote_port[row] = port(message + 6)
        to.interface[row] = u32(message + 40)
        to.cookie[row] = u64(message + 44)
        to.expires[row] = u32(message + 52)
        to.recv_queue[row] = u32(message + 56)
        to.send_queue[row] = u32(message + 60)
        to.inode[row] = u32(message + 68)
        to.uid[row] = u32(message + 64)
        if to.uid[row] == 0 and to.inode[row] == 0:
            to.uid[row] = 0xFFFFFFFF
        to.v6only[row] = 0
        to.cgroup[row] = 0
        info = NULL
        info_size = 0
        at = offset + HEADER_SIZE + MESSAGE
        stop = offset + length
        while stop - at >= 4:
            size = u16(data + at)
            if size < 4 or size > stop - at:
                return "a netlink attribute is longer than its message"
            kind = u16(data + at + 2) & ATTRIBUTE_TYPE
            if kind == V6ONLY and size >= 5:
                to.v6only[row] = data[at + 4] != 0
            elif kind == CGROUP and size >= 12:
                to.cgroup[row] = u64(data + at + 4)
            elif kind == INFO and transport == OVER_TCP and message[1] != LISTEN:
                info = data + at + 4
                info_size = size - 4
            elif kind == CONGESTION and detailed:
                names[row * 2] = <uint32_t>(at + 4)
                names[row * 2 + 1] = <uint32_t>(size - 4) + 1
            at += (size + 3) & ~3
        if detailed:
            fill_details(info, info_size, message[1], to, row)
        row += 1
        offset += (length + 3) & ~3
    return NULL


cdef void fill_details(
    const uint8_t *info, Py_ssize_t info_size, uint8_t state, Rows *to, Py_ssize_t row
) noexcept nogil:
    cdef Py_ssize_t number
    cdef uint64_t value, again
    for number in range(detail_count):
        if detail_size[number] == 4:
            value = u32(info + detail_offset[number]) if info_size >= detail_offset[number] + 4 else 0xFFFFFFFF
            (<uint32_t *>to.details[number])[row] = <uint32_t>value
            continue
        value = ~<uint64_t>0
        if info_size >= detail_offset[number] + 8:
            value = u64(info + detail_offset[number])
        if value != ~<uint64_t>0:
            if number == sent_detail:
                again = u64(info + RETRANSMITTED) if info_size >= RETRANSMITTED + 8 else 0
                value = value - again if value > again else 0
            elif number == received_detail and (FIN_RECEIVED >> state) & 1 and value > 0:
                value -= 1
        (<uint64_t *>to.details[number])[row] = value


cdef void *extend(array.array values, Py_ssize_t rows) except NULL:
    """Make room for more rows and return where they begin; a new row holds zero."""
    cdef Py_ssize_t before = len(values)
    array.resize_smart(values, before + rows)
    memset(values.data.as_chars + before * values.ob_descr.itemsize, 0, rows * values.ob_descr.itemsize)
    return values.data.as_chars + before * values.ob_descr.itemsize


cdef uint8_t *extend_addresses(bytearray packed, Py_ssize_t rows) except NULL:
    cdef Py_ssize_t before = len(packed)
    PyByteArray_Resize(packed, before + rows * 16)
    return <uint8_t *>PyByteArray_AS_STRING(packed) + before


def decode(const uint8_t[::1] buffer not None, int transport, store):
    """Append the sockets in one buffer of a dump to the store; see the reference."""
    cdef Scan found
    cdef Rows to
    cdef const char *malformed
    cdef array.array names = array.array("I")
    cdef bint detailed = store.detailed, datagram = transport in DATAGRAM_TRANSPORTS
    cdef Py_ssize_t number, size = buffer.shape[0]
    if transport == UNIX or transport == SCTP:
        return reference.decode(memoryview(buffer), transport, store)
    if size == 0:
        return netlink.Progress()
    with nogil:
        found = scan(&buffer[0], size)
    if found.malformed != NULL:
        raise Malformed(found.malformed.decode("ascii"))
    if found.rows:
        to.transport = <uint8_t *>extend(store.transport, found.rows)
        to.family = <uint8_t *>extend(store.family, found.rows)
        to.state = <uint8_t *>extend(store.state, found.rows)
        to.timer = <uint8_t *>extend(store.timer, found.rows)
        to.v6only = <uint8_t *>extend(store.v6only, found.rows)
        to.local_port = <uint16_t *>extend(store.local_port, found.rows)
        to.remote_port = <uint16_t *>extend(store.remote_port, found.rows)
        to.interface = <uint32_t *>extend(store.interface, found.rows)
        to.recv_queue = <uint32_t *>extend(store.recv_queue, found.rows)
        to.send_queue = <uint32_t *>extend(store.send_queue, found.rows)
        to.uid = <uint32_t *>extend(store.uid, found.rows)
        to.inode = <uint32_t *>extend(store.inode, found.rows)
        to.expires = <uint32_t *>extend(store.expires, found.rows)
        to.cookie = <uint64_t *>extend(store.cookie, found.rows)
        to.cgroup = <uint64_t *>extend(store.cgroup, found.rows)
        extend(store.netns, found.rows)
        extend(store.peer_inode, found.rows)
        extend(store.path, found.rows)
        to.local_ip = extend_addresses(store.local_ip, found.rows)
        to.remote_ip = extend_addresses(store.remote_ip, found.rows)
        if detailed:
            for number, name in enumerate(DETAIL_NAMES):
                to.details[number] = extend(getattr(store, name), found.rows)
            extend(names, found.rows * 2)
        with nogil:
            malformed = fill(
                &buffer[0], found.end, <uint8_t>transport, datagram, &to, detailed, names.data.as_uints
            )
        if detailed:
            append_algorithms(buffer, names, store)
        if malformed != NULL:
            raise Malformed(malformed.decode("ascii"))
    return netlink.Progress(found.done, found.interrupted, -found.code)


cdef append_algorithms(const uint8_t[::1] buffer, array.array names, store):
    """Append the place of each row's congestion control; a length of 0 in `names` stands for none."""
    cdef Py_ssize_t row
    known = {}
    append = store.congestion.append
    for row in range(0, len(names), 2):
        if names[row + 1] == 0:
            append(0xFFFFFFFF)
            continue
        text = bytes(buffer[names[row] : names[row] + names[row + 1] - 1])
        if text not in known:
            name = text.split(b"\0", 1)[0].decode("ascii", "backslashreplace")
            known[text] = store.algorithm(name)
        append(known[text])
