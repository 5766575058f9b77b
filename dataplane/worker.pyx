"""The loop: mailbox, rx burst, pipeline, tx bursts, tick, sleep.

One thread, without the GIL, for the life of the switch.  It sleeps in epoll while nothing is to do; a port that filled a
whole burst is served again without asking the kernel whether it has more.

Threads: this is the worker.
"""

from libc.errno cimport EAGAIN, EINTR
from libc.stdint cimport uint32_t, uint64_t

from dataplane.ageing cimport ageing_sweep, reopen_ports
from dataplane.frames.frame cimport (
    BURST_MAX, FRAME_KEPT, FRAME_REFUSED, FRAME_TAGGED, PORT_NONE, Burst, Frame, frame_refuse, frame_wire_bytes,
)
from dataplane.frames.pool cimport KeptFrame, frame_keep, kept_release
from dataplane.frames.rarp cimport rarp_begin
from dataplane.losses cimport rx_failed, tx_failed
from dataplane.pipeline cimport pipeline_run
from dataplane.ports.port cimport TxCopy
from dataplane.reasons cimport (
    DROP_PORT_DOWN, DROP_TX_ERROR, DROP_TX_QUEUE_FULL, DROP_UNREADABLE_OFFLOAD, PASS, Reason,
)
from dataplane.stages.egress cimport egress_copy
from dataplane.state cimport (
    NEVER_NS, PORT_DOWN, PORTS_MAX, QUEUE_FRAMES_MAX, QUEUE_OCTETS_MAX, PortState, SwitchState, port_report,
)
from dataplane.sys.compiler cimport (
    clock_ns, counter_add, load_acquire_u32, read_tsc, store_release_u32, vs_likely, vs_unlikely,
)
from dataplane.sys.epoll cimport (
    EPOLL_CTL_MOD, EPOLLIN, EPOLLOUT, epoll_ctl, epoll_event, epoll_wait, read, write,
)
from dataplane.tables.event_ring cimport EVENT_TX_ERROR, EVENT_UNREADABLE_OFFLOAD
from dataplane.tables.vlan_table cimport VID_NONE

cdef enum:
    EVENTS_MAX = 64
    LOOK_CYCLES = 20000          # TSC, 4 to 20 us: while some port is known to be ready
    SWEEP_BUCKETS = 4096         # 256 KiB of table per round: about 20 us


cdef void set_interest(SwitchState *switch, PortState *port, bint wants_room) noexcept nogil:
    """Ask epoll for EPOLLOUT too, or no longer."""
    cdef epoll_event event
    if port.poll_fd < 0 or port.waits_for_room == wants_room:
        return
    event.events = EPOLLIN | (EPOLLOUT if wants_room else 0)
    event.data.u64 = port.index
    if epoll_ctl(switch.epoll_fd, EPOLL_CTL_MOD, port.poll_fd, &event) == 0:      # else the next frame tries again
        port.waits_for_room = wants_room


cdef inline bint has_refused(const TxCopy *copies, uint32_t n) noexcept nogil:
    """Whether the driver has refused one of the copies that it took."""
    cdef uint32_t i
    cdef Reason reasons = PASS
    for i in range(n):
        reasons |= copies[i].reason
    return reasons != PASS


cdef inline void count_sent(PortState *port, uint64_t n_frames, uint64_t n_packets, uint64_t n_octets) noexcept nogil:
    counter_add(&port.counters.tx_frames, n_frames)
    counter_add(&port.counters.tx_packets, n_packets)
    counter_add(&port.counters.tx_bytes, n_octets)


cdef inline void lose_copy(PortState *port, TxCopy *copy, Reason reason) noexcept nogil:
    """Book a copy that does not leave; it is its frame's fate if no other copy is on its way."""
    counter_add(&port.counters.tx_drops[reason], 1)
    if copy.is_mirrored:
        return
    copy.frame.n_copies -= 1
    if copy.frame.reason == PASS:
        frame_refuse(copy.frame, port.index, reason)


cdef void count_one_by_one(SwitchState *switch, PortState *port, TxCopy *copies, uint32_t n) noexcept nogil:
    """Book what the driver took: sent, or refused for good with a reason."""
    cdef uint32_t i
    for i in range(n):
        if copies[i].reason != PASS:
            if copies[i].reason == DROP_TX_ERROR:
                port_report(switch, port, EVENT_TX_ERROR, copies[i].frame.source_key, PORT_NONE, 0)
            lose_copy(port, &copies[i], copies[i].reason)
        else:
            count_sent(port, 1, copies[i].frame.n_packets, frame_wire_bytes(copies[i].frame, copies[i].tagged))


cdef void keep_copies(SwitchState *switch, PortState *port, TxCopy *copies, uint32_t n) noexcept nogil:
    """Queue what the driver could not take yet; what does not fit the queue is dropped, for this port only."""
    cdef uint32_t i
    cdef KeptFrame *kept
    for i in range(n):
        kept = NULL
        if vs_unlikely(port.state == PORT_DOWN):
            lose_copy(port, &copies[i], DROP_PORT_DOWN)
            continue
        if port.n_queued < QUEUE_FRAMES_MAX and port.queued_octets + copies[i].frame.length <= QUEUE_OCTETS_MAX:
            kept = frame_keep(&switch.pool, copies[i].frame, copies[i].tci, copies[i].tagged)
        if kept == NULL:
            lose_copy(port, &copies[i], DROP_TX_QUEUE_FULL)
            continue
        if not copies[i].is_mirrored:
            copies[i].frame.n_copies -= 1
            copies[i].frame.flags |= FRAME_KEPT
        counter_add(&port.counters.tx_kept, 1)
        if port.queue_head == NULL:
            port.queue_head = kept
        else:
            port.queue_tail.next = kept
        port.queue_tail = kept
        port.n_queued += 1
        port.queued_octets += kept.frame.length
    if port.queue_head != NULL:
        set_interest(switch, port, True)


cdef void drain_queue(SwitchState *switch, PortState *port) noexcept nogil:
    """Send what has waited for this port, oldest first, until it is full again."""
    cdef TxCopy copy
    cdef KeptFrame *kept
    cdef int taken
    while port.queue_head != NULL:
        kept = port.queue_head
        copy.frame = &kept.frame
        copy.tci = kept.tci
        copy.tagged = kept.tagged
        copy.reason = PASS
        copy.is_mirrored = True                      # its frame's fate has been booked
        taken = port.driver.tx_burst(port.device, &copy, 1)
        if taken == 0 or taken == -EAGAIN:
            return
        if taken > 0:
            port.n_tx_errors = 0
        else:
            tx_failed(switch, port, &copy, -taken)
            if port.state == PORT_DOWN:              # the queue is gone
                return
        count_one_by_one(switch, port, &copy, 1)
        port.queue_head = kept.next
        port.n_queued -= 1
        port.queued_octets -= kept.frame.length
        kept_release(&switch.pool, kept)
    set_interest(switch, port, False)


cdef inline void send_burst(SwitchState *switch, PortState *port) noexcept nogil:
    """Hand the tx burst of `port` to its driver; the rest waits or is dropped."""
    cdef int taken = 0
    if vs_likely(port.queue_head == NULL):           # otherwise frames would overtake the waiting ones
        taken = port.driver.tx_burst(port.device, port.tx.copies, port.tx.n)
        if vs_unlikely(taken < 0):
            taken = 0 if taken == -EAGAIN else tx_failed(switch, port, port.tx.copies, -taken)
        elif taken:
            port.n_tx_errors = 0
    if vs_likely(<uint32_t>taken == port.tx.n and not has_refused(port.tx.copies, port.tx.n)):
        count_sent(port, port.tx.n, port.tx.n_packets, port.tx.n_octets)
    else:
        count_one_by_one(switch, port, port.tx.copies, <uint32_t>taken)
        keep_copies(switch, port, port.tx.copies + taken, port.tx.n - <uint32_t>taken)
    port.tx.n = 0
    port.tx.n_packets = 0
    port.tx.n_octets = 0


cdef inline void send_all(SwitchState *switch) noexcept nogil:
    cdef uint32_t i
    for i in range(switch.n_tx_ports):
        send_burst(switch, switch.ports[switch.tx_ports[i]])
    switch.n_tx_ports = 0


cdef inline void count_dropped(SwitchState *switch, PortState *port, const Frame *frame) noexcept nogil:
    """Book a frame that reached nobody, at its sender; and whether it was for another port's sake."""
    counter_add(&port.counters.drops[frame.reason], 1)
    if frame.flags & FRAME_REFUSED and frame.destination_key != port.index:
        counter_add(&port.counters.refused[frame.reason], 1)
        port.counters.refused_by[frame.reason] = frame.destination_key + 1
    if vs_unlikely(frame.reason == DROP_UNREADABLE_OFFLOAD):
        port_report(switch, port, EVENT_UNREADABLE_OFFLOAD, 0, PORT_NONE, 0)


cdef inline void count_received(SwitchState *switch, PortState *port, const Burst *burst) noexcept nogil:
    """Book the fate of each frame of the burst: rx_frames == sent + kept + drops."""
    cdef uint64_t n_bytes = 0, n_packets = 0, n_sent = 0, n_kept = 0
    cdef uint32_t i
    cdef const Frame *frame
    for i in range(burst.n):
        frame = &burst.frames[i]
        n_packets += frame.n_packets
        n_bytes += frame_wire_bytes(frame, frame.flags & FRAME_TAGGED)
        if vs_likely(frame.n_copies):
            n_sent += 1
        elif frame.flags & FRAME_KEPT:
            n_kept += 1
        else:
            count_dropped(switch, port, frame)
    counter_add(&port.counters.rx_frames, burst.n)
    counter_add(&port.counters.rx_packets, n_packets)
    counter_add(&port.counters.rx_bytes, n_bytes)
    counter_add(&port.counters.sent, n_sent)
    if n_kept:
        counter_add(&port.counters.kept, n_kept)
    counter_add(&port.counters.bursts, 1)


cdef int serve_port(SwitchState *switch, PortState *port) noexcept nogil:
    """One burst from `port` through the pipeline; how many frames there were."""
    cdef Burst *burst = &switch.burst
    cdef int n
    burst.n = 0
    burst.n_segments = 0
    n = port.driver.rx_burst(port.device, burst)
    if n <= 0:
        if n < 0 and n != -EAGAIN and n != -EINTR:
            rx_failed(switch, port, -n)
        return 0
    port.n_rx_errors = 0
    pipeline_run(switch, port, burst)
    send_all(switch)
    if port.driver.rx_done != NULL:
        port.driver.rx_done(port.device, burst)
    count_received(switch, port, burst)
    return n


cdef void worker_announce(SwitchState *switch, PortState *port, uint64_t key) noexcept nogil:
    """Say by the uplink of `port` that the address in `key` (MAC << 16, and the VID that it learns with) is behind it.

    It passes all of egress as if `port` had sent it, and is booked at the uplink: originated, and its fate.
    """
    cdef PortState *uplink = switch.ports[port.uplink]
    cdef Burst *burst = &switch.burst
    cdef Frame *frame
    if uplink == NULL or uplink == port:
        return
    burst.n = 0
    burst.n_segments = 0
    frame = rarp_begin(burst, key >> 16)
    frame.vid = key & 0xFFFF
    if port.vlan.pvid != VID_NONE and switch.fids[port.vlan.pvid] == frame.vid:
        frame.vid = port.vlan.pvid                   # what the port itself would send in
    frame.source_key = key
    frame.reason = egress_copy(switch, port, uplink, frame)
    send_all(switch)
    counter_add(&uplink.counters.originated, 1)
    if frame.n_copies:
        counter_add(&uplink.counters.sent, 1)
    elif frame.flags & FRAME_KEPT:
        counter_add(&uplink.counters.kept, 1)
    else:
        counter_add(&uplink.counters.drops[frame.reason], 1)


cdef inline void set_ready(SwitchState *switch, PortState *port) noexcept nogil:
    if not port.is_ready and port.state != PORT_DOWN:
        port.is_ready = 1
        switch.ready_ports[switch.n_ready_ports] = port.index
        switch.n_ready_ports += 1


cdef inline bint keeps_ready(SwitchState *switch, PortState *port, int n) noexcept nogil:
    """Whether a port that has just given `n` frames is to be served again without an event."""
    if n == BURST_MAX:
        return True
    if port.driver.rx_arm == NULL:
        return False
    if n:
        port.busy_until_ns = switch.now_ns + switch.spin_ns
    return switch.now_ns < port.busy_until_ns or port.driver.rx_arm(port.device)


cdef uint32_t worker_serve_all(SwitchState *switch) noexcept nogil:
    """One burst from each ready port, in turn; those that filled it stay ready, and those that are polled.  How many frames
    there were."""
    cdef uint32_t i, n = switch.n_ready_ports, n_left = 0, n_frames = 0
    cdef int n_taken
    cdef PortState *port
    for i in range(n):
        port = switch.ports[switch.ready_ports[i]]
        if port == NULL:
            continue
        if port.queue_head != NULL and port.driver.rx_arm != NULL:
            drain_queue(switch, port)
        n_taken = serve_port(switch, port)
        n_frames += n_taken
        if keeps_ready(switch, port, n_taken):
            switch.ready_ports[n_left] = port.index
            n_left += 1
        else:
            port.is_ready = 0
    switch.n_ready_ports = n_left
    return n_frames


cdef inline void tell_events(SwitchState *switch) noexcept nogil:
    """Wake the main thread once for all events of a round."""
    cdef uint64_t one = 1
    if vs_unlikely(switch.events.n_told != switch.events.n_written):
        switch.events.n_told = switch.events.n_written
        write(switch.event_fd, &one, sizeof(one))


cdef inline void run_mailbox(SwitchState *switch) noexcept nogil:
    cdef uint64_t one = 1
    if vs_unlikely(load_acquire_u32(&switch.mailbox.is_full)):
        switch.mailbox.command(switch, switch.mailbox.argument)
        store_release_u32(&switch.mailbox.is_full, 0)
        write(switch.mailbox.done_fd, &one, sizeof(one))


cdef inline int sleep_ms(const SwitchState *switch) noexcept nogil:
    """How long epoll may sleep: until ageing or a blocked port has work, or for ever."""
    if switch.n_ready_ports or switch.fdb.sweep_at <= switch.fdb.mask:
        return 0
    if switch.fdb.n_entries == 0 and switch.reopen_ns == NEVER_NS:
        return -1
    return 1000 - <int>(switch.now_ns // 1000000 % 1000)


cdef void ask_epoll(SwitchState *switch) noexcept nogil:
    """Find out which ports have something to read or room to write."""
    cdef epoll_event events[EVENTS_MAX]
    cdef uint64_t drained
    cdef int i, n = epoll_wait(switch.epoll_fd, events, EVENTS_MAX, sleep_ms(switch))
    cdef PortState *port
    for i in range(n):
        if events[i].data.u64 == WAKE:
            read(switch.mailbox.wake_fd, &drained, sizeof(drained))
            continue
        port = switch.ports[events[i].data.u64 & (PORTS_MAX - 1)]
        if port == NULL:
            continue
        # A driver that may be polled has one event for both: something to read, or room to write.
        if events[i].events & EPOLLOUT or port.driver.rx_arm != NULL:
            drain_queue(switch, port)
        if events[i].events & ~<uint32_t>EPOLLOUT:
            set_ready(switch, port)


cdef void worker_run(SwitchState *switch) noexcept nogil:
    """Move bursts until `is_running` is cleared by a command."""
    cdef uint64_t began = 0, looked = 0
    while switch.is_running:
        # A look at epoll and at the clock costs as much as ten frames of a port that needs no system call.
        if switch.n_ready_ports == 0 or began - looked >= LOOK_CYCLES:
            ask_epoll(switch)
            looked = read_tsc()
            switch.now_ns = clock_ns()
            switch.now_s = <uint32_t>(switch.now_ns // 1000000000)
            switch.heartbeat_ns[0] = switch.now_ns
        run_mailbox(switch)
        if switch.fdb.n_entries:
            ageing_sweep(switch, SWEEP_BUCKETS)
        else:
            switch.fdb.sweep_at = switch.fdb.mask + 1
        reopen_ports(switch)
        began = read_tsc()
        if worker_serve_all(switch):
            counter_add(switch.busy_cycles, read_tsc() - began)
        tell_events(switch)
