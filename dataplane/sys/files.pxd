"""statfs(2): which kind of file system a file lies in."""

cdef extern from "<sys/vfs.h>" nogil:
    struct statfs:
        long f_type
    int fstatfs(int fd, statfs *about)

cdef extern from "<linux/magic.h>" nogil:
    enum:
        TMPFS_MAGIC, HUGETLBFS_MAGIC
