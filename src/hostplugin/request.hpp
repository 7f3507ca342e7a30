// What XAPI gives a host plugin on its command line: one XML-RPC call
// (ocaml/xapi/xapi_plugins.ml) with the caller's session and a map of strings.
// Whoever may call host.call_plugin chooses function and arguments, so all of
// it is bounded, and nothing but this one form is read: no document type, hence
// no entities of one's own.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "vnvme/result.hpp"

namespace vnvme::hostplugin {

struct Call {
  std::string function;
  std::string session;  // a key to XAPI: never printed
  std::map<std::string, std::string> arguments;
};

inline constexpr std::size_t kMostBytes = 64u << 10;  // of the text; the kernel takes twice that
inline constexpr std::size_t kMostDepth = 16;
inline constexpr std::size_t kMostArguments = 64;
inline constexpr std::size_t kMostText = 16u << 10;  // of one value

// Errc::invalid_argument: not that form; protocol: beyond the limits.
Result<Call> parse_call(std::string_view xml);

}  // namespace vnvme::hostplugin
