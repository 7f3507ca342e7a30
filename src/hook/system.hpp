// What the hook asks of the kernel: small files, a folder, the log. Nothing
// waits (no FIFO, no full log socket can hold a VM's start), and nothing is
// read without a bound.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vnvme::hook {

// Whatever goes wrong in this program, VMs start: a signal would abort the start, so each fatal one, and 10 s
// of work, end it with exit code 1, which xenopsd logs and passes over.
void never_block();

struct Text {
  enum class State { absent, unusable, whole } state = State::absent;
  std::string content;
  std::string problem;  // unusable: why
};
// A regular file of at most `limit` bytes, no symbolic link.
Text read_file(const std::string& path, std::size_t limit);

struct Folder {
  Text::State state = Text::State::absent;
  std::vector<std::string> names;
  std::string problem;
};
Folder list_folder(const std::string& path, std::size_t most);

bool is_there(const std::string& path);

// One line to the system's log, by the datagram socket `path`; lost when nobody listens.
enum class Severity { warning = 4, notice = 5, info = 6 };
void log_line(const std::string& path, Severity severity, std::string_view text);

void print(std::string_view text);

}  // namespace vnvme::hook
