#include "vnvme/result.hpp"

namespace vnvme {

std::string_view to_string(Errc code) noexcept {
  switch (code) {
    case Errc::invalid_argument:
      return "invalid_argument";
    case Errc::not_found:
      return "not_found";
    case Errc::already_exists:
      return "already_exists";
    case Errc::busy:
      return "busy";
    case Errc::in_use:
      return "in_use";
    case Errc::no_space:
      return "no_space";
    case Errc::too_many_volumes:
      return "too_many_volumes";
    case Errc::not_permitted:
      return "not_permitted";
    case Errc::not_supported:
      return "not_supported";
    case Errc::timeout:
      return "timeout";
    case Errc::unreachable:
      return "unreachable";
    case Errc::conflict:
      return "conflict";
    case Errc::rebuilding:
      return "rebuilding";
    case Errc::corrupt:
      return "corrupt";
    case Errc::io:
      return "io";
    case Errc::protocol:
      return "protocol";
    case Errc::cancelled:
      return "cancelled";
    case Errc::internal:
      return "internal";
  }
  return "internal";
}

std::string_view to_string(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::not_done:
      return "not_done";
    case Outcome::done:
      return "done";
    case Outcome::unknown:
      return "unknown";
  }
  return "unknown";
}

std::string Error::describe() const {
  std::string line = text;
  std::string where;
  auto add = [&where](std::string_view name, const std::string& value) {
    if (value.empty()) return;
    where += where.empty() ? "" : ", ";
    where += std::string(name) + " " + value;
  };
  add("step", step);
  add("peer", peer);
  if (native) add("code", std::to_string(*native));
  if (outcome == Outcome::unknown) add("outcome", "unknown");
  if (!where.empty()) line += " (" + where + ")";
  return line;
}

}  // namespace vnvme
