// Names of states as people and scripts see them.
#pragma once
#include "vnvme/records.hpp"

namespace vnvme::service {

inline const char* name_of(SrState s) {
  return s == SrState::creating ? "creating" : s == SrState::ready ? "ready" : "destroying";
}
inline const char* name_of(VolumeState s) {
  return s == VolumeState::creating ? "creating" : s == VolumeState::ready ? "ready" : "trash";
}
inline const char* name_of(VolumeKind k) {
  return k == VolumeKind::data ? "data" : k == VolumeKind::snapshot ? "snapshot" : "base";
}
inline const char* name_of(AttachState s) {
  return s == AttachState::attached ? "attached" : s == AttachState::active ? "active" : "releasing";
}
inline const char* name_of(AttachMode m) {
  return m == AttachMode::none ? "none" : m == AttachMode::read_only ? "read-only" : "read-write";
}

}  // namespace vnvme::service
