"""The compiled twin of `connecting.begin_all`: the same system calls, without the interpreter between them."""

from portbook.probe import connecting

from libc.errno cimport EAGAIN, EALREADY, ECONNREFUSED, ECONNRESET, EINPROGRESS, EISCONN, errno
from libc.stdint cimport uint16_t
from libc.string cimport memset

cdef extern from * nogil:
    """
    #include <arpa/inet.h>
    #include <netinet/in.h>
    #include <poll.h>
    #include <sys/socket.h>
    #include <time.h>

    union target {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    };

    /* Sets the address, without its port; 0 where it is none, or has a zone. */
    static int resolve(union target *target, const char *ip) {
        if (inet_pton(AF_INET, ip, &target->ipv4.sin_addr) == 1) {
            target->any.sa_family = AF_INET;
            return sizeof(target->ipv4);
        }
        if (inet_pton(AF_INET6, ip, &target->ipv6.sin6_addr) == 1) {
            target->any.sa_family = AF_INET6;
            return sizeof(target->ipv6);
        }
        return 0;
    }
    /* Both structures have it in the same place. */
    static int try_to_connect(int descriptor, union target *target, int length, unsigned short port) {
        target->ipv4.sin_port = htons(port);
        return connect(descriptor, &target->any, length);
    }
    /* Whether an ICMP error waits: the reset itself has been told by connect(2), and is no error any more. */
    static int has_queued_error(int descriptor) {
        struct pollfd watched = {descriptor, 0, 0};
        return poll(&watched, 1, 0) > 0 && (watched.revents & POLLERR);
    }
    static double milliseconds(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
    }
    """
    union target:
        pass
    int resolve(target *, const char *ip)
    int try_to_connect(int descriptor, target *, int length, unsigned short port)
    bint has_queued_error(int descriptor)
    double milliseconds()


cdef bint is_pending(int code) noexcept nogil:
    return code == EINPROGRESS or code == EALREADY or code == EAGAIN


def begin_all(made, addresses, start):
    """As `connecting.begin_all`."""
    cdef int descriptor = made.fileno(), length = 0, code
    cdef bint at_once, reset = True
    cdef uint16_t port
    cdef double begun, ended
    cdef Py_ssize_t place
    cdef target where
    cdef list waited = []
    ip = None
    for place in range(start, len(addresses)):
        address = addresses[place]
        if address[0] != ip:
            ip = address[0]
            memset(&where, 0, sizeof(where))
            length = resolve(&where, ip.encode())
        if length == 0:
            return waited, connecting.begin(made, address)
        port = address[1]
        with nogil:
            begun = milliseconds()
            code = errno if try_to_connect(descriptor, &where, length, port) else 0
            at_once = not is_pending(code)
            if not at_once:
                code = errno if try_to_connect(descriptor, &where, length, port) else 0
            reset = (code == ECONNREFUSED or code == ECONNRESET) and not has_queued_error(descriptor)
            ended = milliseconds()
        if reset:
            waited.append(ended - begun)
            continue
        if not at_once and is_pending(code):
            return waited, None
        return waited, connecting.result(made, address, 0 if code == EISCONN else code, at_once=at_once)
    return waited, connecting.RESET
