// Datapath.*: gives a volume to a domain and takes it back. Attach exposes the
// volume as a namespace of the function reserved for the VM (or of dom0's own
// function); deactivate and detach never fail and leave the work to the
// releaser in housekeeper.cpp (R3).
#pragma once
#include "service/place.hpp"

namespace vnvme::service {

class DatapathCalls {
 public:
  explicit DatapathCalls(Core& core) : core_(core) {}
  Task<Result<smapi::Backend>> attach(smapi::Context, std::string uri, std::string domain);
  Task<Result<void>> activate(smapi::Context, std::string uri, std::string domain, bool read_only);
  // deactivate and detach: the same, because xenopsd may leave out either. A detach from dom0 waits a moment
  // for its end.
  Task<Result<void>> release(smapi::Context, std::string uri, std::string domain);

 private:
  struct Plan {
    Place place;
    VolumeRecord volume;
    std::string owner;
    std::string domain;
    std::string serial;   // of the function to use
    FunctionId function;  // as reserved; for dom0 learned
    Lane::Hold guard;
  };
  Task<Result<Plan>> plan(smapi::Context context, std::string uri, std::string domain);
  Task<Result<std::string>> owner_of(std::string domain, Deadline deadline);
  // Makes it so; idempotent. Answers where it is.
  Task<Result<dpu::Function>> expose(smapi::Context context, Plan& plan);
  Task<Result<void>> expose_in_lane(Plan& plan, const AttachmentRecord& record, Deadline deadline);
  Task<Result<smapi::Backend>> describe(Plan& plan, dpu::Function function, Deadline deadline);
  Task<void> wait_until_released(VolumeId volume, Deadline soon);

  Core& core_;
};

// The function with that serial as it is now, ready and ours; opened when it is not there. Function lane
// held.
Task<Result<dpu::Function>> own_function(Core& core, Link& link, std::string serial, FunctionId preferred,
                                         Deadline deadline);

}  // namespace vnvme::service
