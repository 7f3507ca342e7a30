#include "link.hpp"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

namespace vnvme::plugin {
namespace {

constexpr std::size_t kPrefix = sizeof(frame::Prefix);

// A script started with stdin or stdout closed must not get the socket in their place.
int above_stderr(int fd) {
  if (fd < 0 || fd > 2) return fd;
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  close(fd);
  return moved;
}

bool ours(const frame::Prefix& p) {
  return std::memcmp(p.magic, frame::kMagic, sizeof p.magic) == 0;
}

// Copies what came into pages large enough for the whole frame.
char* move_to_pages(const char* from, std::size_t got, std::size_t size) {
  void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return nullptr;
  std::memcpy(pages, from, got);
  return static_cast<char*>(pages);
}

}  // namespace

void Link::shut() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Io Link::open(const char* path) {
  shut();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto length = std::strlen(path);
  if (length == 0 || length >= sizeof address.sun_path) return Io::denied;
  std::memcpy(address.sun_path, path, length);
  fd_ = above_stderr(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd_ < 0) return Io::denied;
  while (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Io::full;
    return errno == ENOENT || errno == ECONNREFUSED ? Io::absent : Io::denied;
  }
  return Io::ok;
}

Io Link::send(frame::Type type, std::string_view header, std::string_view body, Until until) {
  auto prefix = frame::make_prefix(type, 0, static_cast<std::uint32_t>(header.size()),
                                   static_cast<std::uint32_t>(body.size()));
  iovec parts[] = {{&prefix, kPrefix},
                   {const_cast<char*>(header.data()), header.size()},
                   {const_cast<char*>(body.data()), body.size()}};
  std::size_t first = 0;
  while (first < 3) {
    msghdr message{};
    message.msg_iov = parts + first;
    message.msg_iovlen = 3 - first;
    auto n = sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return Io::lost;
      if (!wait_for(fd_, POLLOUT, until)) return Io::late;
      continue;
    }
    for (auto left = static_cast<std::size_t>(n); first < 3;) {
      auto take = left < parts[first].iov_len ? left : parts[first].iov_len;
      parts[first].iov_base = static_cast<char*>(parts[first].iov_base) + take;
      parts[first].iov_len -= take;
      left -= take;
      if (parts[first].iov_len != 0) break;
      ++first;
    }
  }
  return Io::ok;
}

// At least one byte more, at most `capacity`.
Io Link::more(char* into, std::size_t capacity, std::size_t& got, Until until) {
  for (;;) {
    if (!wait_for(fd_, POLLIN, until)) return Io::late;
    auto n = recv(fd_, into + got, capacity - got, 0);
    if (n > 0) {
      got += static_cast<std::size_t>(n);
      return Io::ok;
    }
    if (n == 0) return Io::lost;
    if (errno != EINTR && errno != EAGAIN) return Io::lost;
  }
}

Io Link::receive(Frame& into, char* memory, std::size_t capacity, Until until) {
  std::size_t got = 0;
  while (got < kPrefix)
    if (auto io = more(memory, capacity, got, until); io != Io::ok) return io;
  frame::Prefix prefix{};
  std::memcpy(&prefix, memory, kPrefix);
  if (!ours(prefix)) return Io::garbage;
  if (prefix.header_len > frame::kHeaderLimit || prefix.body_len > frame::kAnswerLimit) return Io::too_large;
  if (!frame::acceptable(prefix, frame::kAnswerLimit)) return Io::garbage;
  std::size_t size = kPrefix + prefix.header_len + prefix.body_len;
  // The daemon says one thing at a time; more than the frame is a daemon that we do not understand.
  if (got > size) return Io::garbage;
  if (size > capacity) {
    memory = move_to_pages(memory, got, size);
    if (memory == nullptr) return Io::too_large;
  }
  while (got < size)
    if (auto io = more(memory, size, got, until); io != Io::ok) return io;
  into = Frame{static_cast<frame::Type>(prefix.type),
               prefix.flags,
               {memory + kPrefix + prefix.header_len, prefix.body_len}};
  return Io::ok;
}

}  // namespace vnvme::plugin
