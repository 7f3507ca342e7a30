// The real xenstore, over xenstored's own socket.
#pragma once
#include "host/xenstore_domains.hpp"

namespace vnvme::host {

// As on every Xen host; XCP-ng's oxenstored has it too (/var/run is /run).
inline constexpr const char* kXenstoredSocket = "/run/xenstored/socket";

class XenstoreSocket final : public Xenstore {
 public:
  explicit XenstoreSocket(std::string socket_path) : path_(std::move(socket_path)) {}
  Task<Result<std::optional<std::string>>> read(std::string path, Deadline) override;
  Task<Result<std::vector<std::string>>> list(std::string path, Deadline) override;

 private:
  std::string path_;
};

}  // namespace vnvme::host
