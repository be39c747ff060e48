/*
 * Passes requests to the Nitro Secure Module, since the node's runtime has no ioctl.
 *
 * Standard input: frames of a 32-bit big-endian length and that many bytes of CBOR. Standard output: one such frame for
 * each, in order. It neither reads nor changes what it passes on; any irregularity ends it, and the node then serves no
 * more. It is part of the measured image. Build: see Dockerfile (static, no libraries at run time).
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_REQUEST = 4096, MOST_RESPONSE = 12288 };

/* The module's one call: two buffers, the second's length is set to what was written. */
struct nsm_message {
    struct iovec request;
    struct iovec response;
};
#define NSM_CALL _IOWR(0x0A, 0, struct nsm_message)

static uint8_t request[MOST_REQUEST];
static uint8_t response[4 + MOST_RESPONSE];

/* 1 when all was read, 0 at the end before the first byte, -1 else. */
static int read_all(uint8_t *to, size_t length) {
    size_t done = 0;
    while (done < length) {
        ssize_t got = read(STDIN_FILENO, to + done, length - done);
        if (got == 0) return done == 0 ? 0 : -1;
        if (got < 0) return -1;
        done += (size_t)got;
    }
    return 1;
}

static int write_all(const uint8_t *from, size_t length) {
    while (length > 0) {
        ssize_t put = write(STDOUT_FILENO, from, length);
        if (put <= 0) return -1;
        from += put;
        length -= (size_t)put;
    }
    return 0;
}

int main(void) {
    int device = open("/dev/nsm", O_RDWR | O_CLOEXEC);
    if (device < 0) return 69;
    for (;;) {
        uint8_t head[4];
        int got = read_all(head, sizeof head);
        if (got == 0) return 0;
        if (got < 0) return 65;
        uint32_t length = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
        if (length == 0 || length > MOST_REQUEST || read_all(request, length) != 1) return 65;
        struct nsm_message message = {
            .request = {.iov_base = request, .iov_len = length},
            .response = {.iov_base = response + 4, .iov_len = MOST_RESPONSE},
        };
        if (ioctl(device, NSM_CALL, &message) != 0) return 74;
        size_t size = message.response.iov_len;
        if (size > MOST_RESPONSE) return 74;
        response[0] = (uint8_t)(size >> 24);
        response[1] = (uint8_t)(size >> 16);
        response[2] = (uint8_t)(size >> 8);
        response[3] = (uint8_t)size;
        if (write_all(response, 4 + size) != 0) return 74;
    }
}
