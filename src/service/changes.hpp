// Builds a commit, one change after the other:
//   co_await core.commit(Changes().put(volume).erase_intent(id))
// A class with constructors on purpose: g++ 12 destroys temporaries of
// aggregate type twice when they stand in a co_await expression.
#pragma once
#include <utility>
#include <vector>

#include "vnvme/records.hpp"

namespace vnvme::service {

class Changes {
 public:
  Changes() {}
  Changes(std::vector<Change> list) : list_(std::move(list)) {}
  template <class Record>
  Changes&& put(Record record) && {
    return std::move(*this).add(Put<Record>{std::move(record)});
  }
  Changes&& erase(VolumeId id) && { return std::move(*this).add(Erase<VolumeId>{std::move(id)}); }
  Changes&& erase(SrId id) && { return std::move(*this).add(Erase<SrId>{std::move(id)}); }
  Changes&& erase_intent(std::uint64_t id) && { return std::move(*this).add(EraseIntent{id}); }
  Changes&& erase_attachment(VolumeId volume, std::string owner) && {
    return std::move(*this).add(EraseAttachment{std::move(volume), std::move(owner)});
  }
  Changes&& erase_reservation(VmId vm, DpuId dpu) && {
    return std::move(*this).add(EraseReservation{std::move(vm), std::move(dpu)});
  }
  std::vector<Change> take() { return std::move(list_); }

 private:
  Changes&& add(Change change) && {
    list_.push_back(std::move(change));
    return std::move(*this);
  }
  std::vector<Change> list_;
};

}  // namespace vnvme::service
