#include "rpc/http_credentials.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace vnvme::rpc {
namespace {

// The text never holds a byte of the file.
tl::unexpected<Error> wrong(Errc code, const std::string& path, const std::string& why) {
  return fail(Error{.code = code, .text = "credentials file " + path + ": " + why});
}

struct File {
  int fd = -1;
  ~File() {
    if (fd >= 0) ::close(fd);
  }
};

Result<void> check_guarded(const std::string& path, const struct stat& about) {
  if (!S_ISREG(about.st_mode)) return wrong(Errc::not_permitted, path, "is no regular file");
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(about.st_mode & 07777));
  if (about.st_uid != 0 && about.st_uid != ::geteuid())
    return wrong(
        Errc::not_permitted, path,
        "belongs to user " + std::to_string(about.st_uid) + "; accepted: root. Run chown root " + path);
  if ((about.st_mode & 077) != 0)
    return wrong(Errc::not_permitted, path,
                 std::string("has mode ") + mode +
                     ", so others than its owner may use it; accepted: 0600 or " + "0400. Run chmod 600 " +
                     path + ", and change the password if others could read it");
  return {};
}

Result<void> read_all(const std::string& path, int fd, Secret& into) {
  std::size_t length = 0;
  while (length <= kCredentialBytes) {
    auto n = ::read(fd, into.room().data() + length, kCredentialBytes + 1 - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return wrong(Errc::io, path, std::strerror(errno));
    if (n == 0) break;
    length += static_cast<std::size_t>(n);
  }
  if (length > kCredentialBytes)
    return wrong(Errc::invalid_argument, path,
                 "is longer than " + std::to_string(kCredentialBytes) + " bytes; it holds one line");
  into.set_size(length);
  return {};
}

// "user:password", without the end of the line.
Result<std::string_view> only_line(const std::string& path, std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  auto bad = [&path](const std::string& why) {
    return wrong(Errc::invalid_argument, path, why + "; accepted: one line user:password");
  };
  if (text.empty()) return bad("is empty");
  for (char c : text) {
    if (c == '\n') return bad("has more than one line");
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7E) return bad("has a byte that is not printable ASCII");
  }
  if (text.front() == ' ' || text.back() == ' ') return bad("begins or ends with a space");
  auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return bad("names no user before a \":\"");
  return text;
}

void append_base64(Secret& out, std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    char four[4];
    for (std::size_t k = 0; k < 4; ++k)
      four[k] = i + k > bytes.size() ? '=' : kDigits[group >> (18 - 6 * k) & 63];
    out.append({four, sizeof four});
    ::explicit_bzero(four, sizeof four);
  }
}

}  // namespace

Result<Secret> read_basic_authorization(const std::string& path) {
  // O_NONBLOCK: a FIFO in its place must not stop us before it is refused.
  File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0)
    return wrong(errno == ENOENT ? Errc::not_found : Errc::not_permitted, path,
                 std::string(std::strerror(errno)) + "; it holds one line user:password, mode 0600");
  struct stat about {};
  if (::fstat(file.fd, &about) != 0) return wrong(Errc::io, path, std::strerror(errno));
  VNVME_TRY(check_guarded(path, about));
  auto text = Secret::with_room(kCredentialBytes + 1);
  if (!text) return fail(std::move(text.error()));
  VNVME_TRY(read_all(path, file.fd, *text));
  auto line = only_line(path, text->view());
  if (!line) return fail(std::move(line.error()));
  auto header = Secret::with_room(kCredentialBytes * 2);
  if (!header) return fail(std::move(header.error()));
  header->append("Authorization: Basic ");
  append_base64(*header, *line);
  header->append("\r\n");
  return header;
}

}  // namespace vnvme::rpc
