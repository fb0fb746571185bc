"""The compiled twin of `descriptors`: the same functions, at the speed of the kernel.

Several threads, without the interpreter's lock, each read the folder of a process of their own; those that
find none left help with the ones still being read. What they share and what each has for itself is written at
the structures below.
"""

import os
from array import array

from portbook.linux.descriptors import Holders

from libc.errno cimport EACCES, ENOENT, ENOTDIR, EPERM, ESRCH, errno
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, qsort, realloc, strtoul
from libc.string cimport memcmp, memset
from posix.fcntl cimport O_CLOEXEC, O_DIRECTORY, O_RDONLY
from posix.unistd cimport close

cdef extern from * nogil:
    """
    #include <fcntl.h>
    #include <pthread.h>
    #include <sched.h>
    #include <stdio.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    static long read_entries(int folder, char *buffer, size_t size) {
        return syscall(SYS_getdents64, folder, buffer, size);
    }
    static long links_to(int folder) {
        struct stat status;
        return fstat(folder, &status) ? 0 : (long)status.st_nlink;
    }
    """
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    int openat(int parent, const char *path, int flags)
    ssize_t readlinkat(int parent, const char *path, char *buffer, size_t size)
    int snprintf(char *text, size_t size, const char *form, ...)
    int sched_yield()
    int pthread_create(pthread_t *, void *attributes, void *(*start)(void *) noexcept nogil, void *argument)
    int pthread_join(pthread_t thread, void **result)
    int pthread_mutex_init(pthread_mutex_t *lock, void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *lock)
    int pthread_mutex_unlock(pthread_mutex_t *lock)
    int pthread_mutex_destroy(pthread_mutex_t *lock)
    long read_entries(int folder, char *buffer, size_t size)
    long links_to(int folder)

cdef enum:
    THREADS = 8
    BUFFER = 32768
    NAME = 19  # where a linux_dirent64 has its name: after inode, offset, length (2 bytes, at 16) and type
    GONE = -1
    DENIED = -2

cdef uint32_t UNSEEN = 0x80000000  # marks, while `join` counts, a code that is a place in `unseen`


cdef struct Pair:
    uint64_t inode
    uint32_t pid


cdef struct Folder:  # one that is being read: its thread opens it, the last of its readers closes it
    int descriptor, readers
    bint denied
    bint ended  # nothing is left to be read, though a reader may still be busy with what it was given
    uint32_t pid


cdef struct Scan:  # what the threads share: `next`, `opening` and `folders` under the lock
    pthread_mutex_t lock
    int root
    const uint32_t *pids
    size_t count, next
    size_t opening  # how many threads have taken a process and not its folder yet
    int threads
    Folder folders[THREADS]


cdef struct Worker:  # what one thread has for itself
    Scan *scan
    int place
    Pair *pairs
    size_t length, room, denied
    bint out_of_memory
    char buffer[BUFFER]


cdef int opened(int parent, const char *form, unsigned long number) noexcept nogil:
    """Open a folder whose path has a number in it; GONE or DENIED where that fails."""
    cdef char path[32]
    snprintf(path, sizeof(path), form, number)
    cdef int descriptor = openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if descriptor >= 0:
        return descriptor
    return GONE if errno == ENOENT or errno == ESRCH or errno == ENOTDIR else DENIED


cdef bint is_number(const char *name) noexcept nogil:
    cdef size_t i = 0
    while b"0"[0] <= name[i] <= b"9"[0]:
        i += 1
    return i > 0 and name[i] == 0


cdef uint64_t socket_inode(const char *link, ssize_t length) noexcept nogil:
    """Return the inode in `socket:[INODE]`, 0 where the link is anything else."""
    cdef uint64_t inode = 0
    cdef unsigned digit
    cdef ssize_t i
    if length < 10 or length > 29 or memcmp(link, b"socket:[", 8) != 0 or link[length - 1] != b"]"[0]:
        return 0
    for i in range(8, length - 1):
        if not b"0"[0] <= link[i] <= b"9"[0]:
            return 0
        digit = <unsigned>(link[i] - b"0"[0])
        if inode > (<uint64_t>-1 - digit) // 10:
            return 0
        inode = inode * 10 + digit
    return inode


cdef void keep(Worker *worker, uint64_t inode, uint32_t pid) noexcept nogil:
    cdef Pair *grown
    if worker.length == worker.room:
        grown = <Pair *>realloc(worker.pairs, (worker.room * 2 + 1024) * sizeof(Pair))
        if grown == NULL:
            worker.out_of_memory = True
            return
        worker.pairs = grown
        worker.room = worker.room * 2 + 1024
    worker.pairs[worker.length].inode = inode
    worker.pairs[worker.length].pid = pid
    worker.length += 1


cdef long read_folder(Worker *worker, int folder, uint32_t pid) noexcept nogil:
    """Keep the sockets among the descriptors of a folder; return how many descriptors there were, or DENIED.

    Threads that read the same open folder share its position, so that each is given entries of its own.
    """
    cdef long filled, at, count = 0
    cdef ssize_t length
    cdef uint64_t inode
    cdef const char *name
    cdef char link[32]
    while True:
        filled = read_entries(folder, worker.buffer, BUFFER)
        if filled <= 0:
            return count
        at = 0
        while at + NAME < filled:
            name = worker.buffer + at + NAME
            at += (<uint16_t *>(worker.buffer + at + 16))[0]
            if not is_number(name):
                continue
            count += 1
            length = readlinkat(folder, name, link, sizeof(link))
            if length < 0:
                if errno == EACCES or errno == EPERM:
                    return DENIED
                continue
            inode = socket_inode(link, length)
            if inode:
                keep(worker, inode, pid)


cdef long read_other_threads(Worker *worker, uint32_t pid) noexcept nogil:
    """Keep the sockets that another thread tells of; return as `read_folder`.

    Once the first thread has ended, its folder is empty and root's; the others may hold descriptors still.
    """
    cdef char buffer[1024]
    cdef const char *name
    cdef long filled, at, result = 0
    cdef bint denied = False
    cdef int folder, task = opened(worker.scan.root, b"%lu/task", pid)
    if task < 0:
        return 0
    # Each thread is a folder, with a link to the one above.
    while result <= 0 and links_to(task) > 3:
        filled = read_entries(task, buffer, sizeof(buffer))
        if filled <= 0:
            break
        at = 0
        while at + NAME < filled and result <= 0:
            name = buffer + at + NAME
            at += (<uint16_t *>(buffer + at + 16))[0]
            if not is_number(name):
                continue
            folder = opened(task, b"%lu/fd", strtoul(name, NULL, 10))
            if folder >= 0:
                result = read_folder(worker, folder, pid)
                close(folder)
            denied = denied or folder == DENIED or result == DENIED
    close(task)
    return DENIED if denied and result <= 0 else result


cdef void leave(Worker *worker, Folder *folder, bint denied) noexcept nogil:
    """Be one reader less; the last closes the folder and counts it where it was denied."""
    pthread_mutex_lock(&worker.scan.lock)
    folder.ended = True
    folder.denied |= denied
    folder.readers -= 1
    if folder.readers == 0:
        close(folder.descriptor)
        if folder.denied:
            worker.denied += 1
    pthread_mutex_unlock(&worker.scan.lock)


cdef bint read_next(Worker *worker) noexcept nogil:
    """Read the folder of the next process that no thread has taken yet; False where there is none."""
    cdef Scan *scan = worker.scan
    cdef Folder *own = &scan.folders[worker.place]  # nobody helps before every process is taken: it is free
    cdef uint32_t pid
    cdef long others, count = DENIED
    cdef bint denied
    cdef int descriptor
    pthread_mutex_lock(&scan.lock)
    cdef size_t taken = scan.next
    if taken < scan.count:
        scan.next += 1
        scan.opening += 1
    pthread_mutex_unlock(&scan.lock)
    if taken >= scan.count:
        return False
    pid = scan.pids[taken]
    descriptor = opened(scan.root, b"%lu/fd", pid)
    pthread_mutex_lock(&scan.lock)
    scan.opening -= 1
    if descriptor >= 0:
        own.descriptor = descriptor
        own.pid = pid
        own.denied = own.ended = False
        own.readers = 1
    pthread_mutex_unlock(&scan.lock)
    if descriptor == GONE:
        return True
    if descriptor >= 0:
        count = read_folder(worker, descriptor, pid)
    others = read_other_threads(worker, pid) if count <= 0 else 0
    denied = others == DENIED or (others == 0 and count == DENIED)
    if descriptor >= 0:
        leave(worker, own, denied)
    elif denied:
        worker.denied += 1
    return True


cdef void *work(void *argument) noexcept nogil:
    """Read one process after another, then along in what other threads have not finished, until nothing is left."""
    cdef Worker *worker = <Worker *>argument
    cdef Scan *scan = worker.scan
    cdef Folder *folder
    cdef bint joined, more = True
    cdef int place
    while read_next(worker):
        pass
    while more:
        more = False
        for place in range(scan.threads):
            folder = &scan.folders[place]
            pthread_mutex_lock(&scan.lock)
            joined = folder.readers > 0 and not folder.ended
            if joined:
                folder.readers += 1
            more = more or joined or scan.opening > 0
            pthread_mutex_unlock(&scan.lock)
            if joined:
                leave(worker, folder, read_folder(worker, folder.descriptor, folder.pid) == DENIED)
        sched_yield()
    return NULL


cdef int by_inode_then_pid(const void *first, const void *second) noexcept nogil:
    cdef const Pair *a = <const Pair *>first
    cdef const Pair *b = <const Pair *>second
    if a.inode != b.inode:
        return -1 if a.inode < b.inode else 1
    return <int>(a.pid > b.pid) - <int>(a.pid < b.pid)


cdef void run(Scan *scan, Worker *workers) noexcept nogil:
    """Run the threads, and gather what they kept with the first, in order; a pair may be there several times."""
    cdef pthread_t threads[THREADS]
    cdef bint started[THREADS]
    cdef Worker *first = &workers[0]
    cdef size_t i
    cdef int place
    for place in range(1, scan.threads):
        started[place] = pthread_create(&threads[place], NULL, work, &workers[place]) == 0
    work(first)
    for place in range(1, scan.threads):
        if started[place]:
            pthread_join(threads[place], NULL)
        for i in range(workers[place].length):
            keep(first, workers[place].pairs[i].inode, workers[place].pairs[i].pid)
        first.denied += workers[place].denied
        first.out_of_memory |= workers[place].out_of_memory
    if first.length:
        qsort(first.pairs, first.length, sizeof(Pair), by_inode_then_pid)


def socket_holders(pids, proc="/proc"):
    """As `descriptors.socket_holders`."""
    wanted = array("I", pids)
    cdef const uint32_t[::1] view = wanted
    cdef unsigned char[::1] memory = bytearray(THREADS * sizeof(Worker))
    cdef Worker *workers = <Worker *>&memory[0]
    cdef Pair *pair
    cdef Scan scan
    cdef uint64_t[::1] inodes
    cdef uint32_t[::1] holding
    cdef size_t i, kept = 0
    cdef int place
    memset(&scan, 0, sizeof(scan))
    scan.root = os.open(proc, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    scan.count = len(wanted)
    scan.pids = &view[0] if scan.count else NULL
    scan.threads = min(len(os.sched_getaffinity(0)), THREADS)
    pthread_mutex_init(&scan.lock, NULL)
    for place in range(THREADS):
        workers[place].scan = &scan
        workers[place].place = place
    try:
        with nogil:
            run(&scan, workers)
        if workers.out_of_memory:
            raise MemoryError
        inodes = all_inodes = array("Q", bytes(8 * workers.length))
        holding = all_pids = array("I", bytes(4 * workers.length))
        for i in range(workers.length):
            pair = &workers.pairs[i]
            if kept == 0 or inodes[kept - 1] != pair.inode or holding[kept - 1] != pair.pid:
                inodes[kept] = pair.inode
                holding[kept] = pair.pid
                kept += 1
        return Holders(all_inodes[:kept], all_pids[:kept], workers.denied)
    finally:
        for place in range(THREADS):
            free(workers[place].pairs)
        pthread_mutex_destroy(&scan.lock)
        os.close(scan.root)


def join(inodes, cgroups, holders):
    """As `descriptors.join`."""
    cdef const uint32_t[::1] row_inodes = inodes
    cdef const uint64_t[::1] row_cgroups = cgroups
    cdef const uint64_t[::1] held = holders.inodes
    cdef const uint32_t[::1] pids = holders.pids
    codes = array("I", bytes(4 * len(inodes)))
    cdef uint32_t[::1] coded = codes
    cdef Py_ssize_t row, low, high, middle, rows = row_inodes.shape[0], pairs = held.shape[0]
    cdef dict alone = {}, groups = {}, unseen = {}
    cdef list counts = []
    if row_cgroups.shape[0] != rows or pids.shape[0] != pairs:
        raise ValueError("arrays of different lengths")
    for row in range(rows):
        if row_inodes[row] == 0:
            continue
        low = 0
        high = pairs
        while low < high:
            middle = (low + high) // 2
            if held[middle] < row_inodes[row]:
                low = middle + 1
            else:
                high = middle
        while high < pairs and held[high] == row_inodes[row]:
            high += 1
        if low == high:
            place = unseen.setdefault(row_cgroups[row], len(unseen))
            if place == len(counts):
                counts.append(0)
            counts[place] += 1
            coded[row] = UNSEEN | <uint32_t>place
            continue
        # Nearly every socket has one holder, which is looked up without making a tuple for each.
        place = alone.get(pids[low]) if high == low + 1 else None
        if place is None:
            place = groups.setdefault(tuple([pids[middle] for middle in range(low, high)]), len(groups))
            if high == low + 1:
                alone[pids[low]] = place
        coded[row] = 1 + <uint32_t>place
    cdef uint32_t first_unseen = 1 + <uint32_t>len(groups)
    with nogil:
        for row in range(rows):
            if coded[row] & UNSEEN:
                coded[row] = first_unseen + (coded[row] & ~UNSEEN)
    return codes, list(groups), list(unseen), counts
