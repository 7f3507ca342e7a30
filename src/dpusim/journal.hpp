// An append-only file of JSON lines; one line is one transaction. Survives kill -9 of the process at any
// byte: a torn last line never happened. (A power cut is not simulated, so nothing is fsynced.)
#pragma once
#include <functional>
#include <string>

#include "core/json.hpp"

namespace vnvme::sim {

class Journal {
 public:
  explicit Journal(std::string path) : path_(std::move(path)) {}
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Calls `apply` for each whole line; false when the file cannot be read. A torn tail is cut off.
  bool replay(const std::function<bool(const Json&)>& apply);
  bool append(const Json& line);
  // Replaces the whole content by what `state` gives, atomically.
  bool rewrite(const std::function<void(const std::function<void(const Json&)>&)>& state);
  void remove();
  [[nodiscard]] std::uint64_t lines() const { return lines_; }

 private:
  bool open();
  std::string path_;
  int fd_ = -1;
  std::uint64_t lines_ = 0;
};

// The whole text of a file of at most `limit` bytes.
Result<std::string> read_file(const std::string& path, std::size_t limit = 256u << 20);
// Through a temporary name and a rename.
bool write_file(const std::string& path, std::string_view text);

}  // namespace vnvme::sim
