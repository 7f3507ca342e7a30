// Running domains as xenstore lists them. What stands there is checked and bounded like any other input.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vnvme/host.hpp"

namespace vnvme::host {

// What we need of xenstore. Absence is a positive answer (ENOENT); everything else is an error.
class Xenstore {
 public:
  virtual ~Xenstore() = default;
  virtual Task<Result<std::optional<std::string>>> read(std::string path, Deadline) = 0;
  virtual Task<Result<std::vector<std::string>>> list(std::string path, Deadline) = 0;
};

// A scripted xenstore: a folder with a file a key.
class XenstoreFolder final : public Xenstore {
 public:
  explicit XenstoreFolder(std::string root) : root_(std::move(root)) {}
  Task<Result<std::optional<std::string>>> read(std::string path, Deadline) override;
  Task<Result<std::vector<std::string>>> list(std::string path, Deadline) override;

 private:
  std::string root_;
};

class XenstoreDomains final : public Domains {
 public:
  explicit XenstoreDomains(std::unique_ptr<Xenstore> xenstore) : xenstore_(std::move(xenstore)) {}
  Task<Result<std::optional<VmId>>> vm_of(std::uint32_t domid, Deadline) override;
  // An entry that cannot be understood is an error: the domain behind it might be of that VM.
  Task<Result<std::vector<std::uint32_t>>> domains_of(VmId vm, Deadline) override;

 private:
  std::unique_ptr<Xenstore> xenstore_;
};

// Domains out of ROOT/local/domain/<domid>/vm, each holding "/vm/<uuid>".
class ScriptedDomains final : public Domains {
 public:
  explicit ScriptedDomains(std::string root) : inner_(std::make_unique<XenstoreFolder>(std::move(root))) {}
  Task<Result<std::optional<VmId>>> vm_of(std::uint32_t domid, Deadline deadline) override {
    return inner_.vm_of(domid, deadline);
  }
  Task<Result<std::vector<std::uint32_t>>> domains_of(VmId vm, Deadline deadline) override {
    return inner_.domains_of(std::move(vm), deadline);
  }

 private:
  XenstoreDomains inner_;
};

}  // namespace vnvme::host
