#include "dpusim/journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vnvme::sim {
namespace {

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    auto n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail(errno == ENOENT ? Errc::not_found : Errc::internal, path + ": " + std::strerror(errno));
  std::string text;
  char piece[65536];
  while (text.size() <= limit) {
    auto n = ::read(fd, piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(piece, static_cast<std::size_t>(n));
  }
  ::close(fd);
  if (text.size() > limit)
    return fail(Errc::internal, path + " is larger than " + std::to_string(limit) + " bytes");
  return text;
}

bool write_file(const std::string& path, std::string_view text) {
  auto temporary = path + ".new";
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  bool ok = write_all(fd, text);
  ::close(fd);
  return ok && ::rename(temporary.c_str(), path.c_str()) == 0;
}

Journal::~Journal() {
  if (fd_ >= 0) ::close(fd_);
}

bool Journal::open() {
  if (fd_ < 0) fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  return fd_ >= 0;
}

bool Journal::replay(const std::function<bool(const Json&)>& apply) {
  auto text = read_file(path_);
  if (!text) return false;
  std::size_t at = 0;
  lines_ = 0;
  while (at < text->size()) {
    auto end = text->find('\n', at);
    if (end == std::string::npos) break;
    JsonLimits limits{.bytes = 256u << 20, .depth = 16, .values = 16u << 20, .string_bytes = 1u << 16};
    auto line = parse_json(std::string_view(*text).substr(at, end - at), limits);
    if (!line || !apply(*line)) return false;
    at = end + 1;
    ++lines_;
  }
  return at == text->size() || ::truncate(path_.c_str(), static_cast<off_t>(at)) == 0;
}

bool Journal::append(const Json& line) {
  if (!open()) return false;
  ++lines_;
  return write_all(fd_, dump_json(line) + "\n");
}

bool Journal::rewrite(const std::function<void(const std::function<void(const Json&)>&)>& state) {
  std::string text;
  std::uint64_t count = 0;
  state([&text, &count](const Json& line) {
    text += dump_json(line) + "\n";
    ++count;
  });
  if (!write_file(path_, text)) return false;
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  lines_ = count;
  return open();
}

void Journal::remove() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  ::unlink(path_.c_str());
}

}  // namespace vnvme::sim
