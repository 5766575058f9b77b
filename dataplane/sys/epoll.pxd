"""epoll(7) and eventfd(2)."""

from libc.stdint cimport uint32_t, uint64_t

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        void *ptr
        int fd
        uint32_t u32
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    enum:
        EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLET
        EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD
        EPOLL_CLOEXEC
    int epoll_create1(int flags)
    int epoll_ctl(int epoll_fd, int operation, int fd, epoll_event *event)
    int epoll_wait(int epoll_fd, epoll_event *events, int n_events_max, int timeout_ms)

cdef extern from "<sys/eventfd.h>" nogil:
    enum:
        EFD_CLOEXEC, EFD_NONBLOCK
    int eventfd(unsigned int initial, int flags)

cdef extern from "<unistd.h>" nogil:
    ssize_t read(int fd, void *buffer, size_t count)
    ssize_t write(int fd, const void *buffer, size_t count)
    int close(int fd)
    int dup(int fd)
