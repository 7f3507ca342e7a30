#include "dpu/spdk/errors.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>

namespace vnvme::dpu::spdk {
namespace {

struct Text {
  std::string_view text;
  int number;
};
constexpr std::array kTexts{
    Text{"Operation not permitted", EPERM},
    Text{"No such file or directory", ENOENT},
    Text{"Input/output error", EIO},
    Text{"Resource temporarily unavailable", EAGAIN},
    Text{"Cannot allocate memory", ENOMEM},
    Text{"Device or resource busy", EBUSY},
    Text{"File exists", EEXIST},
    Text{"No such device", ENODEV},
    Text{"Invalid argument", EINVAL},
    Text{"File too large", EFBIG},
    Text{"No space left on device", ENOSPC},
    Text{"Operation not supported", EOPNOTSUPP},
    Text{"Connection timed out", ETIMEDOUT},
    Text{"Operation already in progress", EALREADY},
};

// The text itself, or "What failed: text". Only the end counts: names of objects stand before it.
std::optional<int> errno_of_text(std::string_view message) {
  for (const auto& known : kTexts) {
    if (message == known.text) return known.number;
    if (message.ends_with(known.text) && message.size() > known.text.size() + 2 &&
        message.substr(message.size() - known.text.size() - 2, 2) == ": ")
      return known.number;
  }
  return std::nullopt;
}

std::optional<int> errno_of(const rpc::RemoteError& said) {
  constexpr int kMost = 133;  // EHWPOISON, Linux's last
  if (said.code != 0 && said.code >= -kMost && said.code <= kMost)
    return std::abs(static_cast<int>(said.code));
  return errno_of_text(said.message);
}

bool starts(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

Errc of_errno(std::string_view method, int number) {
  switch (number) {
    // A claimed drive, a snapshot with two clones: a dependant forbids it. A read-only volume: its state
    // does.
    case EPERM:
      return method == "bdev_lvol_resize" || method == "bdev_lvol_snapshot" ? Errc::not_permitted
                                                                            : Errc::in_use;
    case EACCES:
      return Errc::not_permitted;
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return Errc::not_found;
    case EAGAIN:
    case EBUSY:
      return Errc::busy;
    // The metadata pages of a store are used up: one more volume of any kind is too many.
    case ENOMEM:
      return starts(method, "bdev_lvol_") ? Errc::too_many_volumes : Errc::no_space;
    case EEXIST:
    case EALREADY:
      return Errc::already_exists;
    case EINVAL:
      return Errc::invalid_argument;
    case ENOSPC:
    case EFBIG:
      return Errc::no_space;
    case EOPNOTSUPP:
    case ENOSYS:
      return Errc::not_supported;
    case ETIMEDOUT:
      return Errc::timeout;
    default:
      return Errc::io;
  }
}

Errc of_rpc_code(const rpc::RemoteError& said) {
  if (said.code == -32601) return Errc::not_supported;
  if (refused_keys(said)) return Errc::protocol;
  if (said.code == -32600 || said.code == -32700) return Errc::protocol;
  // nvmf methods answer this for every refusal alike: the caller lists to learn why.
  if (said.code == -32602) return Errc::invalid_argument;
  return Errc::io;
}

}  // namespace

bool refused_keys(const rpc::RemoteError& said) {
  return said.message == "spdk_json_decode_object failed";
}

Error classify(std::string_view method, const rpc::RemoteError& said) {
  Error error;
  error.text = said.message.substr(0, 512);
  error.native = said.code;
  auto number = errno_of(said);
  // A target still waiting for framework_start_init answers -1, which is no EPERM.
  if (said.code == -1 && said.message.find("framework") != std::string::npos)
    error.code = Errc::unreachable;
  else
    error.code = number ? of_errno(method, *number) : of_rpc_code(said);
  error.outcome =
      method == "bdev_lvol_resize" && number && *number == EBUSY ? Outcome::unknown : Outcome::not_done;
  return error;
}

}  // namespace vnvme::dpu::spdk
