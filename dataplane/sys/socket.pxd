"""socket(7), packet(7), virtio_net.h and readv(2), as far as the kernel drivers need them."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t readv(int fd, const iovec *parts, int n_parts)
    ssize_t writev(int fd, const iovec *parts, int n_parts)

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    """

cdef extern from "<sys/socket.h>" nogil:
    struct msghdr:
        void *msg_name
        unsigned int msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    enum:
        MSG_DONTWAIT, MSG_TRUNC
        SOL_PACKET, SOL_SOCKET, SO_ERROR
    int recvmmsg(int fd, mmsghdr *messages, unsigned int n_messages, int flags, void *timeout)
    int sendmmsg(int fd, mmsghdr *messages, unsigned int n_messages, int flags)
    int getsockopt(int fd, int level, int option, void *value, unsigned int *length)
    cmsghdr *CMSG_FIRSTHDR(msghdr *message)
    unsigned char *CMSG_DATA(cmsghdr *control)
    size_t CMSG_SPACE(size_t length)

cdef extern from "<linux/if_packet.h>" nogil:
    struct tpacket_auxdata:
        uint32_t tp_status
        uint32_t tp_len
        uint32_t tp_snaplen
        uint16_t tp_mac
        uint16_t tp_net
        uint16_t tp_vlan_tci
        uint16_t tp_vlan_tpid
    struct tpacket_stats:
        unsigned int tp_packets
        unsigned int tp_drops
    enum:
        PACKET_AUXDATA, PACKET_STATISTICS
        TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID

cdef extern from "<linux/virtio_net.h>" nogil:
    struct virtio_net_hdr:
        uint8_t flags
        uint8_t gso_type
        uint16_t hdr_len
        uint16_t gso_size
        uint16_t csum_start
        uint16_t csum_offset
    enum:
        VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_DATA_VALID
        VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_UDP
        VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_ECN
