#include "host/text_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

#include "core/text.hpp"

namespace vnvme::host {
namespace {

constexpr std::size_t kTextLimit = 4096;
constexpr std::size_t kFolderLimit = 4096;

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}
bool is_gone(int number) {
  return number == ENOENT || number == ENODEV || number == ENOTDIR;
}

}  // namespace

bool is_bdf(std::string_view text) {
  constexpr std::string_view kForm = "xxxx:xx:xx.x";
  if (text.size() != kForm.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (kForm[i] == 'x' ? !is_hex(text[i]) : text[i] != kForm[i]) return false;
  return text[8] <= '1' && text[11] >= '0' && text[11] <= '7';
}

Error bad_bdf(std::string_view text) {
  return {Errc::invalid_argument, Outcome::not_done,
          "\"" + printable(text, 64) + "\" is no PCI address of the form 0000:3b:00.2"};
}

Error errno_error(std::string_view step, const std::string& path, int number) {
  Error e;
  e.code = Errc::io;
  e.text = std::string(step) + " " + path + ": " + std::generic_category().message(number);
  e.step = std::string(step);
  e.native = number;
  return e;
}

Result<std::optional<std::string>> read_text(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    if (is_gone(errno)) return std::nullopt;
    return fail(errno_error("read", path, errno));
  }
  std::string text(kTextLimit + 1, '\0');
  std::size_t have = 0;
  int bad = 0;
  while (have < text.size()) {
    ssize_t n = ::read(fd, text.data() + have, text.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) bad = errno;
    if (n <= 0) break;
    have += static_cast<std::size_t>(n);
  }
  ::close(fd);
  if (is_gone(bad)) return std::nullopt;  // a device that vanished while it was read
  if (bad) return fail(errno_error("read", path, bad));
  if (have > kTextLimit)
    return fail(Errc::protocol, path + " is longer than " + std::to_string(kTextLimit) + " bytes");
  text.resize(have);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\t')) text.pop_back();
  return text;
}

Result<std::optional<std::vector<std::string>>> list_folder(const std::string& path) {
  struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  std::unique_ptr<DIR, CloseDir> dir(::opendir(path.c_str()));
  if (!dir) {
    if (is_gone(errno)) return std::nullopt;
    return fail(errno_error("list", path, errno));
  }
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());  // NOLINT(concurrency-mt-unsafe): each DIR has one user
    if (!entry) break;
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() == kFolderLimit)
      return fail(Errc::protocol, path + " has more than " + std::to_string(kFolderLimit) + " entries");
    names.push_back(std::move(name));
  }
  if (errno != 0) return fail(errno_error("list", path, errno));
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::optional<std::string>> link_name(const std::string& path) {
  std::array<char, 4096> target{};
  ssize_t n = ::readlink(path.c_str(), target.data(), target.size());
  if (n < 0) {
    if (is_gone(errno) || errno == EINVAL) return std::nullopt;
    return fail(errno_error("read the link", path, errno));
  }
  std::string_view text(target.data(), static_cast<std::size_t>(n));
  auto slash = text.rfind('/');
  return std::string(slash == std::string_view::npos ? text : text.substr(slash + 1));
}

Result<bool> exists(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0) return true;
  if (is_gone(errno)) return false;
  return fail(errno_error("look at", path, errno));
}

}  // namespace vnvme::host
