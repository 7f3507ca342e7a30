// What the front-end was called as: by a script's #! line, as a symlink, or
// by hand.
#pragma once
#include <cstddef>
#include <string_view>

#include "vnvme/smapi_methods.hpp"

namespace vnvme::plugin {

enum class Mode {
  json,   // one call, parameters as JSON on stdin
  words,  // one call, parameters as words of the command line (static-vdis)
  help,
  version,
  unknown,   // a script whose name is no method of ours
  unusable,  // nothing that we can make sense of; `problem` says why
};

inline constexpr std::size_t kNameLimit = 64;

struct Invocation {
  Mode mode = Mode::unusable;
  const smapi::MethodFacts* method = nullptr;
  std::string_view name;       // the script's base name as called
  std::string_view directory;  // the name of its folder; empty: not in the path
  std::string_view sr_type;    // from the folder org.xen.xapi.storage.TYPE; empty in a datapath folder
  int words = 0;               // index in argv of the first word after the script
  std::string_view problem;
};

// Looks at argv alone. `cwd_name` is the base name of the working directory, asked for only when the script
// was called without its folder.
Invocation parse_invocation(int argc, const char* const* argv, std::string_view (*cwd_name)());

}  // namespace vnvme::plugin
