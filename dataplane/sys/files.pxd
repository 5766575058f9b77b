"""statfs(2), statx(2): which kind of file a descriptor leads to, and in which kind of file system it lies."""

cdef extern from "<sys/vfs.h>" nogil:
    struct statfs:
        long f_type
        long f_bsize
    int fstatfs(int fd, statfs *about)

cdef extern from "<linux/magic.h>" nogil:
    enum:
        TMPFS_MAGIC, HUGETLBFS_MAGIC

cdef extern from "<fcntl.h>" nogil:
    enum:
        AT_EMPTY_PATH

cdef extern from "<sys/stat.h>" nogil:
    enum:
        AT_STATX_DONT_SYNC, STATX_TYPE
    struct statx_about "statx":
        unsigned short stx_mode
        unsigned int stx_rdev_major
        unsigned int stx_rdev_minor
    int statx(int folder, const char *path, int flags, unsigned int mask, statx_about *about)
