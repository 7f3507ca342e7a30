// One connection to vnvmed: frames out, frames in (smapi_frame.hpp).
#pragma once
#include <cstddef>
#include <string_view>

#include "system.hpp"
#include "vnvme/smapi_frame.hpp"

namespace vnvme::plugin {

enum class Io {
  ok,
  absent,     // no socket, or nobody listens
  full,       // somebody listens, but takes no more connections now
  denied,     // connecting is not allowed, or the path is unusable
  lost,       // the connection ended before the frame did
  late,       // the deadline passed
  garbage,    // these are not frames of this protocol
  too_large,  // a frame beyond the limits
};

struct Frame {
  frame::Type type;
  std::uint8_t flags;
  std::string_view body;
};

// The last connection is left to the end of the process, which costs no system call.
class Link {
 public:
  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Never waits: a unix socket connects at once or not at all.
  Io open(const char* path);
  Io send(frame::Type type, std::string_view header, std::string_view body, Until until);
  // The frame is read into `memory`, or into fresh pages when that is too small; it stays valid until the
  // process ends.
  Io receive(Frame& into, char* memory, std::size_t capacity, Until until);
  void shut();

 private:
  Io more(char* into, std::size_t capacity, std::size_t& got, Until until);
  int fd_ = -1;
};

}  // namespace vnvme::plugin
