#include "core/guarded_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace vnvme {
namespace {

struct File {
  int fd = -1;
  ~File() {
    if (fd >= 0) ::close(fd);
  }
};

// The text never holds a byte of the file.
tl::unexpected<Error> wrong(Errc code, const std::string& name, const std::string& why) {
  return fail(Error{.code = code, .text = name + ": " + why});
}

Result<void> check_guarded(const std::string& name, const std::string& path, const struct stat& about) {
  if (!S_ISREG(about.st_mode)) return wrong(Errc::not_permitted, name, "is no regular file");
  if (about.st_uid != 0 && about.st_uid != ::geteuid())
    return wrong(
        Errc::not_permitted, name,
        "belongs to user " + std::to_string(about.st_uid) + "; accepted: root. Run chown root " + path);
  if ((about.st_mode & 077) == 0) return {};
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(about.st_mode & 07777));
  return wrong(Errc::not_permitted, name,
               std::string("has mode ") + mode +
                   ", so others than its owner may use it; accepted: 0600 or 0400. Run chmod 600 " + path +
                   ", and change the password if others could read it");
}

// One byte more than is allowed is enough to know that it is too long.
Result<std::size_t> read_up_to(const std::string& name, int fd, std::span<char> into) {
  std::size_t length = 0;
  while (length < into.size()) {
    auto n = ::read(fd, into.data() + length, into.size() - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return wrong(Errc::io, name, std::strerror(errno));
    if (n == 0) break;
    length += static_cast<std::size_t>(n);
  }
  return length;
}

}  // namespace

Result<Secret> read_guarded_file(const std::string& path, const GuardedFile& about) {
  const auto name = about.what + " " + path;
  // O_NONBLOCK: a FIFO in its place must not stop us before it is refused.
  File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0)
    return wrong(errno == ENOENT ? Errc::not_found : Errc::not_permitted, name,
                 std::string(std::strerror(errno)) + "; it holds " + about.holds + ", mode 0600");
  struct stat found {};
  if (::fstat(file.fd, &found) != 0) return wrong(Errc::io, name, std::strerror(errno));
  VNVME_TRY(check_guarded(name, path, found));
  auto secret = Secret::with_room(std::max(about.room, about.most + 1));
  if (!secret) return fail(std::move(secret.error()));
  auto length = read_up_to(name, file.fd, secret->room().first(about.most + 1));
  if (!length) return fail(std::move(length.error()));
  if (*length > about.most)
    return wrong(Errc::invalid_argument, name,
                 "is longer than " + std::to_string(about.most) + " bytes; it holds " + about.holds);
  secret->set_size(*length);
  return secret;
}

}  // namespace vnvme
