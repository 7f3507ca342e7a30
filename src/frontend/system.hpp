// The few things asked of the kernel. Every wait ends at a deadline; nothing
// here throws, allocates, or can be ended by a signal of our own making.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vnvme::plugin {

std::int64_t now_ms();

struct Until {
  std::int64_t at_ms;
  [[nodiscard]] int left_ms() const {
    auto left = at_ms - now_ms();
    return left <= 0 ? 0 : left > 3600'000 ? 3600'000 : static_cast<int>(left);
  }
};

// SIGPIPE ignored; everything above stderr closed: the broker leaks its own sockets and inotify into scripts.
void settle_in();

// true: `events` (or an error) are there. false: the time is over.
bool wait_for(int fd, short events, Until until);
void pause_ms(int ms);

enum class Input { whole, too_large, late, broken };
// Reads stdin to its end, also what is too much: a broker that meets a closed pipe fails the whole call.
Input read_stdin(char* into, std::size_t capacity, std::size_t& size, Until until);

// All of it, or false: closed, full, broken, or nobody reads until the deadline.
bool write_all(int fd, std::string_view text, Until until);

// A random version-4 uuid, 36 characters. false: the kernel gave no random bytes.
bool make_uuid(char* into);

// The base name of the working directory, or "".
std::string_view working_directory_name();

}  // namespace vnvme::plugin
