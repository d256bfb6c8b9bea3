/* When the next token of each stream is due: a binary heap of file descriptors. */
#define MAX_FDS 16384

static int heap[MAX_FDS], heap_len;
static int place_of[MAX_FDS];       /* in the heap, from 1; 0: not in it */
static uint64_t due_ns[MAX_FDS];

static void deadline_place(int at, int fd) {
    heap[at] = fd;
    place_of[fd] = at + 1;
}

static void deadline_up(int at) {
    int fd = heap[at];
    for (; at > 0 && due_ns[heap[(at - 1) / 2]] > due_ns[fd]; at = (at - 1) / 2) deadline_place(at, heap[(at - 1) / 2]);
    deadline_place(at, fd);
}

static void deadline_down(int at) {
    int fd = heap[at];
    for (;;) {
        int child = 2 * at + 1;
        if (child >= heap_len) break;
        if (child + 1 < heap_len && due_ns[heap[child + 1]] < due_ns[heap[child]]) child++;
        if (due_ns[heap[child]] >= due_ns[fd]) break;
        deadline_place(at, heap[child]);
        at = child;
    }
    deadline_place(at, fd);
}

static void deadline_add(int fd, uint64_t when) {
    due_ns[fd] = when;
    deadline_place(heap_len++, fd);
    deadline_up(heap_len - 1);
}

/* Returns when it was due; does nothing for one that is not there. */
static uint64_t deadline_remove(int fd) {
    int at = place_of[fd] - 1;
    if (at < 0) return 0;
    place_of[fd] = 0;
    if (at != --heap_len) {
        deadline_place(at, heap[heap_len]);
        deadline_up(at);
        deadline_down(place_of[heap[at]] - 1);
    }
    return due_ns[fd];
}

static uint64_t deadline_next(void) { return heap_len ? due_ns[heap[0]] : 0; }

/* One that is due at `now`, or -1. */
static int deadline_passed(uint64_t now) { return heap_len && due_ns[heap[0]] <= now ? heap[0] : -1; }
