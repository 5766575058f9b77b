"""Which files lie in memory, as statfs(2) tells of each."""


def is_memory_file(int fd):
    """Whether the file lies in tmpfs or hugetlbfs, whose pages never wait for anybody (FUSE's and NFS's do)."""
    cdef statfs about
    if fstatfs(fd, &about):
        return False
    return about.f_type == TMPFS_MAGIC or about.f_type == HUGETLBFS_MAGIC
