package protocol

// schemas are the requests that are served, by API key: the fields of each in
// their order, with the versions that have them, as Kafka 4.3 defines them. The last
// are those that nodes send each other (package node).
var schemas = map[int16]schema{
	0: {name: "Produce", from: 3, to: 13, flexible: 9, fields: []field{
		{name: "TransactionalId", kind: text, from: 3, to: 13, null: versions{3, 14}},
		{name: "Acks", kind: fixed2, from: 3, to: 13},
		{name: "TimeoutMs", kind: fixed4, from: 3, to: 13},
		{name: "TopicData", kind: array, of: object, from: 3, to: 13, fields: []field{
			{name: "Name", kind: text, from: 3, to: 12},
			{name: "TopicId", kind: uuid, from: 13, to: 13},
			{name: "PartitionData", kind: array, of: object, from: 3, to: 13, fields: []field{
				{name: "Index", kind: fixed4, from: 3, to: 13},
				{name: "Records", kind: blob, from: 3, to: 13, null: versions{3, 14}},
			}},
		}},
	}},
	1: {name: "Fetch", from: 4, to: 18, flexible: 12, fields: []field{
		{name: "ClusterId", kind: text, from: 12, to: 18, null: versions{12, 19}, tag: &tagged{number: 0, versions: versions{12, 19}}},
		{name: "ReplicaId", kind: fixed4, from: 4, to: 14},
		{name: "ReplicaState", kind: object, from: 15, to: 18, tag: &tagged{number: 1, versions: versions{15, 19}}, fields: []field{
			{name: "ReplicaId", kind: fixed4, from: 15, to: 18},
			{name: "ReplicaEpoch", kind: fixed8, from: 15, to: 18},
		}},
		{name: "MaxWaitMs", kind: fixed4, from: 4, to: 18},
		{name: "MinBytes", kind: fixed4, from: 4, to: 18},
		{name: "MaxBytes", kind: fixed4, from: 4, to: 18},
		{name: "IsolationLevel", kind: fixed1, from: 4, to: 18},
		{name: "SessionId", kind: fixed4, from: 7, to: 18},
		{name: "SessionEpoch", kind: fixed4, from: 7, to: 18},
		{name: "Topics", kind: array, of: object, from: 4, to: 18, fields: []field{
			{name: "Topic", kind: text, from: 4, to: 12},
			{name: "TopicId", kind: uuid, from: 13, to: 18},
			{name: "Partitions", kind: array, of: object, from: 4, to: 18, fields: []field{
				{name: "Partition", kind: fixed4, from: 4, to: 18},
				{name: "CurrentLeaderEpoch", kind: fixed4, from: 9, to: 18},
				{name: "FetchOffset", kind: fixed8, from: 4, to: 18},
				{name: "LastFetchedEpoch", kind: fixed4, from: 12, to: 18},
				{name: "LogStartOffset", kind: fixed8, from: 5, to: 18},
				{name: "PartitionMaxBytes", kind: fixed4, from: 4, to: 18},
				{name: "ReplicaDirectoryId", kind: uuid, from: 17, to: 18, tag: &tagged{number: 0, versions: versions{17, 19}}},
				{name: "HighWatermark", kind: fixed8, from: 18, to: 18, tag: &tagged{number: 1, versions: versions{18, 19}}},
			}},
		}},
		{name: "ForgottenTopicsData", kind: array, of: object, from: 7, to: 18, fields: []field{
			{name: "Topic", kind: text, from: 7, to: 12},
			{name: "TopicId", kind: uuid, from: 13, to: 18},
			{name: "Partitions", kind: array, of: fixed4, from: 7, to: 18},
		}},
		{name: "RackId", kind: text, from: 11, to: 18},
	}},
	2: {name: "ListOffsets", from: 1, to: 11, flexible: 6, fields: []field{
		{name: "ReplicaId", kind: fixed4, from: 1, to: 11},
		{name: "IsolationLevel", kind: fixed1, from: 2, to: 11},
		{name: "Topics", kind: array, of: object, from: 1, to: 11, fields: []field{
			{name: "Name", kind: text, from: 1, to: 11},
			{name: "Partitions", kind: array, of: object, from: 1, to: 11, fields: []field{
				{name: "PartitionIndex", kind: fixed4, from: 1, to: 11},
				{name: "CurrentLeaderEpoch", kind: fixed4, from: 4, to: 11},
				{name: "Timestamp", kind: fixed8, from: 1, to: 11},
			}},
		}},
		{name: "TimeoutMs", kind: fixed4, from: 10, to: 11},
	}},
	3: {name: "Metadata", from: 0, to: 13, flexible: 9, fields: []field{
		{name: "Topics", kind: array, of: object, from: 0, to: 13, null: versions{1, 14}, fields: []field{
			{name: "TopicId", kind: uuid, from: 10, to: 13},
			{name: "Name", kind: text, from: 0, to: 13, null: versions{10, 14}},
		}},
		{name: "AllowAutoTopicCreation", kind: fixed1, from: 4, to: 13},
		{name: "IncludeClusterAuthorizedOperations", kind: fixed1, from: 8, to: 10},
		{name: "IncludeTopicAuthorizedOperations", kind: fixed1, from: 8, to: 13},
	}},
	8: {name: "OffsetCommit", from: 2, to: 10, flexible: 8, fields: []field{
		{name: "GroupId", kind: text, from: 2, to: 10},
		{name: "GenerationIdOrMemberEpoch", kind: fixed4, from: 2, to: 10},
		{name: "MemberId", kind: text, from: 2, to: 10},
		{name: "GroupInstanceId", kind: text, from: 7, to: 10, null: versions{7, 11}},
		{name: "RetentionTimeMs", kind: fixed8, from: 2, to: 4},
		{name: "Topics", kind: array, of: object, from: 2, to: 10, fields: []field{
			{name: "Name", kind: text, from: 2, to: 9},
			{name: "TopicId", kind: uuid, from: 10, to: 10},
			{name: "Partitions", kind: array, of: object, from: 2, to: 10, fields: []field{
				{name: "PartitionIndex", kind: fixed4, from: 2, to: 10},
				{name: "CommittedOffset", kind: fixed8, from: 2, to: 10},
				{name: "CommittedLeaderEpoch", kind: fixed4, from: 6, to: 10},
				{name: "CommittedMetadata", kind: text, from: 2, to: 10, null: versions{2, 11}},
			}},
		}},
	}},
	9: {name: "OffsetFetch", from: 1, to: 10, flexible: 6, fields: []field{
		{name: "GroupId", kind: text, from: 1, to: 7},
		{name: "Topics", kind: array, of: object, from: 1, to: 7, null: versions{2, 8}, fields: []field{
			{name: "Name", kind: text, from: 1, to: 7},
			{name: "PartitionIndexes", kind: array, of: fixed4, from: 1, to: 7},
		}},
		{name: "Groups", kind: array, of: object, from: 8, to: 10, fields: []field{
			{name: "GroupId", kind: text, from: 8, to: 10},
			{name: "MemberId", kind: text, from: 9, to: 10, null: versions{9, 11}},
			{name: "MemberEpoch", kind: fixed4, from: 9, to: 10},
			{name: "Topics", kind: array, of: object, from: 8, to: 10, null: versions{8, 11}, fields: []field{
				{name: "Name", kind: text, from: 8, to: 9},
				{name: "TopicId", kind: uuid, from: 10, to: 10},
				{name: "PartitionIndexes", kind: array, of: fixed4, from: 8, to: 10},
			}},
		}},
		{name: "RequireStable", kind: fixed1, from: 7, to: 10},
	}},
	10: {name: "FindCoordinator", from: 0, to: 6, flexible: 3, fields: []field{
		{name: "Key", kind: text, from: 0, to: 3},
		{name: "KeyType", kind: fixed1, from: 1, to: 6},
		{name: "CoordinatorKeys", kind: array, of: text, from: 4, to: 6},
	}},
	11: {name: "JoinGroup", from: 0, to: 9, flexible: 6, fields: []field{
		{name: "GroupId", kind: text, from: 0, to: 9},
		{name: "SessionTimeoutMs", kind: fixed4, from: 0, to: 9},
		{name: "RebalanceTimeoutMs", kind: fixed4, from: 1, to: 9},
		{name: "MemberId", kind: text, from: 0, to: 9},
		{name: "GroupInstanceId", kind: text, from: 5, to: 9, null: versions{5, 10}},
		{name: "ProtocolType", kind: text, from: 0, to: 9},
		{name: "Protocols", kind: array, of: object, from: 0, to: 9, fields: []field{
			{name: "Name", kind: text, from: 0, to: 9},
			{name: "Metadata", kind: blob, from: 0, to: 9},
		}},
		{name: "Reason", kind: text, from: 8, to: 9, null: versions{8, 10}},
	}},
	12: {name: "Heartbeat", from: 0, to: 4, flexible: 4, fields: []field{
		{name: "GroupId", kind: text, from: 0, to: 4},
		{name: "GenerationId", kind: fixed4, from: 0, to: 4},
		{name: "MemberId", kind: text, from: 0, to: 4},
		{name: "GroupInstanceId", kind: text, from: 3, to: 4, null: versions{3, 5}},
	}},
	13: {name: "LeaveGroup", from: 0, to: 5, flexible: 4, fields: []field{
		{name: "GroupId", kind: text, from: 0, to: 5},
		{name: "MemberId", kind: text, from: 0, to: 2},
		{name: "Members", kind: array, of: object, from: 3, to: 5, fields: []field{
			{name: "MemberId", kind: text, from: 3, to: 5},
			{name: "GroupInstanceId", kind: text, from: 3, to: 5, null: versions{3, 6}},
			{name: "Reason", kind: text, from: 5, to: 5, null: versions{5, 6}},
		}},
	}},
	14: {name: "SyncGroup", from: 0, to: 5, flexible: 4, fields: []field{
		{name: "GroupId", kind: text, from: 0, to: 5},
		{name: "GenerationId", kind: fixed4, from: 0, to: 5},
		{name: "MemberId", kind: text, from: 0, to: 5},
		{name: "GroupInstanceId", kind: text, from: 3, to: 5, null: versions{3, 6}},
		{name: "ProtocolType", kind: text, from: 5, to: 5, null: versions{5, 6}},
		{name: "ProtocolName", kind: text, from: 5, to: 5, null: versions{5, 6}},
		{name: "Assignments", kind: array, of: object, from: 0, to: 5, fields: []field{
			{name: "MemberId", kind: text, from: 0, to: 5},
			{name: "Assignment", kind: blob, from: 0, to: 5},
		}},
	}},
	15: {name: "DescribeGroups", from: 0, to: 6, flexible: 5, fields: []field{
		{name: "Groups", kind: array, of: text, from: 0, to: 6},
		{name: "IncludeAuthorizedOperations", kind: fixed1, from: 3, to: 6},
	}},
	16: {name: "ListGroups", from: 0, to: 5, flexible: 3, fields: []field{
		{name: "StatesFilter", kind: array, of: text, from: 4, to: 5},
		{name: "TypesFilter", kind: array, of: text, from: 5, to: 5},
	}},
	17: {name: "SaslHandshake", from: 0, to: 1, flexible: 2, fields: []field{
		{name: "Mechanism", kind: text, from: 0, to: 1},
	}},
	18: {name: "ApiVersions", from: 0, to: 4, flexible: 3, fields: []field{
		{name: "ClientSoftwareName", kind: text, from: 3, to: 4},
		{name: "ClientSoftwareVersion", kind: text, from: 3, to: 4},
	}},
	19: {name: "CreateTopics", from: 2, to: 7, flexible: 5, fields: []field{
		{name: "Topics", kind: array, of: object, from: 2, to: 7, fields: []field{
			{name: "Name", kind: text, from: 2, to: 7},
			{name: "NumPartitions", kind: fixed4, from: 2, to: 7},
			{name: "ReplicationFactor", kind: fixed2, from: 2, to: 7},
			{name: "Assignments", kind: array, of: object, from: 2, to: 7, fields: []field{
				{name: "PartitionIndex", kind: fixed4, from: 2, to: 7},
				{name: "BrokerIds", kind: array, of: fixed4, from: 2, to: 7},
			}},
			{name: "Configs", kind: array, of: object, from: 2, to: 7, fields: []field{
				{name: "Name", kind: text, from: 2, to: 7},
				{name: "Value", kind: text, from: 2, to: 7, null: versions{2, 8}},
			}},
		}},
		{name: "timeoutMs", kind: fixed4, from: 2, to: 7},
		{name: "validateOnly", kind: fixed1, from: 2, to: 7},
	}},
	20: {name: "DeleteTopics", from: 1, to: 6, flexible: 4, fields: []field{
		{name: "Topics", kind: array, of: object, from: 6, to: 6, fields: []field{
			{name: "Name", kind: text, from: 6, to: 6, null: versions{6, 7}},
			{name: "TopicId", kind: uuid, from: 6, to: 6},
		}},
		{name: "TopicNames", kind: array, of: text, from: 1, to: 5},
		{name: "TimeoutMs", kind: fixed4, from: 1, to: 6},
	}},
	21: {name: "DeleteRecords", from: 0, to: 2, flexible: 2, fields: []field{
		{name: "Topics", kind: array, of: object, from: 0, to: 2, fields: []field{
			{name: "Name", kind: text, from: 0, to: 2},
			{name: "Partitions", kind: array, of: object, from: 0, to: 2, fields: []field{
				{name: "PartitionIndex", kind: fixed4, from: 0, to: 2},
				{name: "Offset", kind: fixed8, from: 0, to: 2},
			}},
		}},
		{name: "TimeoutMs", kind: fixed4, from: 0, to: 2},
	}},
	22: {name: "InitProducerId", from: 0, to: 5, flexible: 2, fields: []field{
		{name: "TransactionalId", kind: text, from: 0, to: 5, null: versions{0, 6}},
		{name: "TransactionTimeoutMs", kind: fixed4, from: 0, to: 5},
		{name: "ProducerId", kind: fixed8, from: 3, to: 5},
		{name: "ProducerEpoch", kind: fixed2, from: 3, to: 5},
	}},
	23: {name: "OffsetForLeaderEpoch", from: 2, to: 4, flexible: 4, fields: []field{
		{name: "ReplicaId", kind: fixed4, from: 3, to: 4},
		{name: "Topics", kind: array, of: object, from: 2, to: 4, fields: []field{
			{name: "Topic", kind: text, from: 2, to: 4},
			{name: "Partitions", kind: array, of: object, from: 2, to: 4, fields: []field{
				{name: "Partition", kind: fixed4, from: 2, to: 4},
				{name: "CurrentLeaderEpoch", kind: fixed4, from: 2, to: 4},
				{name: "LeaderEpoch", kind: fixed4, from: 2, to: 4},
			}},
		}},
	}},
	24: {name: "AddPartitionsToTxn", from: 0, to: 5, flexible: 3, fields: []field{
		{name: "Transactions", kind: array, of: object, from: 4, to: 5, fields: []field{
			{name: "TransactionalId", kind: text, from: 4, to: 5},
			{name: "ProducerId", kind: fixed8, from: 4, to: 5},
			{name: "ProducerEpoch", kind: fixed2, from: 4, to: 5},
			{name: "VerifyOnly", kind: fixed1, from: 4, to: 5},
			{name: "Topics", kind: array, of: object, from: 4, to: 5, fields: []field{
				{name: "Name", kind: text, from: 4, to: 5},
				{name: "Partitions", kind: array, of: fixed4, from: 4, to: 5},
			}},
		}},
		{name: "V3AndBelowTransactionalId", kind: text, from: 0, to: 3},
		{name: "V3AndBelowProducerId", kind: fixed8, from: 0, to: 3},
		{name: "V3AndBelowProducerEpoch", kind: fixed2, from: 0, to: 3},
		{name: "V3AndBelowTopics", kind: array, of: object, from: 0, to: 3, fields: []field{
			{name: "Name", kind: text, from: 0, to: 3},
			{name: "Partitions", kind: array, of: fixed4, from: 0, to: 3},
		}},
	}},
	25: {name: "AddOffsetsToTxn", from: 0, to: 4, flexible: 3, fields: []field{
		{name: "TransactionalId", kind: text, from: 0, to: 4},
		{name: "ProducerId", kind: fixed8, from: 0, to: 4},
		{name: "ProducerEpoch", kind: fixed2, from: 0, to: 4},
		{name: "GroupId", kind: text, from: 0, to: 4},
	}},
	26: {name: "EndTxn", from: 0, to: 5, flexible: 3, fields: []field{
		{name: "TransactionalId", kind: text, from: 0, to: 5},
		{name: "ProducerId", kind: fixed8, from: 0, to: 5},
		{name: "ProducerEpoch", kind: fixed2, from: 0, to: 5},
		{name: "Committed", kind: fixed1, from: 0, to: 5},
	}},
	27: {name: "WriteTxnMarkers", from: 1, to: 2, flexible: 1, fields: []field{
		{name: "Markers", kind: array, of: object, from: 1, to: 2, fields: []field{
			{name: "ProducerId", kind: fixed8, from: 1, to: 2},
			{name: "ProducerEpoch", kind: fixed2, from: 1, to: 2},
			{name: "TransactionResult", kind: fixed1, from: 1, to: 2},
			{name: "Topics", kind: array, of: object, from: 1, to: 2, fields: []field{
				{name: "Name", kind: text, from: 1, to: 2},
				{name: "PartitionIndexes", kind: array, of: fixed4, from: 1, to: 2},
			}},
			{name: "CoordinatorEpoch", kind: fixed4, from: 1, to: 2},
			{name: "TransactionVersion", kind: fixed1, from: 2, to: 2},
		}},
	}},
	28: {name: "TxnOffsetCommit", from: 0, to: 5, flexible: 3, fields: []field{
		{name: "TransactionalId", kind: text, from: 0, to: 5},
		{name: "GroupId", kind: text, from: 0, to: 5},
		{name: "ProducerId", kind: fixed8, from: 0, to: 5},
		{name: "ProducerEpoch", kind: fixed2, from: 0, to: 5},
		{name: "GenerationId", kind: fixed4, from: 3, to: 5},
		{name: "MemberId", kind: text, from: 3, to: 5},
		{name: "GroupInstanceId", kind: text, from: 3, to: 5, null: versions{3, 6}},
		{name: "Topics", kind: array, of: object, from: 0, to: 5, fields: []field{
			{name: "Name", kind: text, from: 0, to: 5},
			{name: "Partitions", kind: array, of: object, from: 0, to: 5, fields: []field{
				{name: "PartitionIndex", kind: fixed4, from: 0, to: 5},
				{name: "CommittedOffset", kind: fixed8, from: 0, to: 5},
				{name: "CommittedLeaderEpoch", kind: fixed4, from: 2, to: 5},
				{name: "CommittedMetadata", kind: text, from: 0, to: 5, null: versions{0, 6}},
			}},
		}},
	}},
	29: {name: "DescribeAcls", from: 1, to: 3, flexible: 2, fields: []field{
		{name: "ResourceTypeFilter", kind: fixed1, from: 1, to: 3},
		{name: "ResourceNameFilter", kind: text, from: 1, to: 3, null: versions{1, 4}},
		{name: "PatternTypeFilter", kind: fixed1, from: 1, to: 3},
		{name: "PrincipalFilter", kind: text, from: 1, to: 3, null: versions{1, 4}},
		{name: "HostFilter", kind: text, from: 1, to: 3, null: versions{1, 4}},
		{name: "Operation", kind: fixed1, from: 1, to: 3},
		{name: "PermissionType", kind: fixed1, from: 1, to: 3},
	}},
	30: {name: "CreateAcls", from: 1, to: 3, flexible: 2, fields: []field{
		{name: "Creations", kind: array, of: object, from: 1, to: 3, fields: []field{
			{name: "ResourceType", kind: fixed1, from: 1, to: 3},
			{name: "ResourceName", kind: text, from: 1, to: 3},
			{name: "ResourcePatternType", kind: fixed1, from: 1, to: 3},
			{name: "Principal", kind: text, from: 1, to: 3},
			{name: "Host", kind: text, from: 1, to: 3},
			{name: "Operation", kind: fixed1, from: 1, to: 3},
			{name: "PermissionType", kind: fixed1, from: 1, to: 3},
		}},
	}},
	31: {name: "DeleteAcls", from: 1, to: 3, flexible: 2, fields: []field{
		{name: "Filters", kind: array, of: object, from: 1, to: 3, fields: []field{
			{name: "ResourceTypeFilter", kind: fixed1, from: 1, to: 3},
			{name: "ResourceNameFilter", kind: text, from: 1, to: 3, null: versions{1, 4}},
			{name: "PatternTypeFilter", kind: fixed1, from: 1, to: 3},
			{name: "PrincipalFilter", kind: text, from: 1, to: 3, null: versions{1, 4}},
			{name: "HostFilter", kind: text, from: 1, to: 3, null: versions{1, 4}},
			{name: "Operation", kind: fixed1, from: 1, to: 3},
			{name: "PermissionType", kind: fixed1, from: 1, to: 3},
		}},
	}},
	32: {name: "DescribeConfigs", from: 1, to: 4, flexible: 4, fields: []field{
		{name: "Resources", kind: array, of: object, from: 1, to: 4, fields: []field{
			{name: "ResourceType", kind: fixed1, from: 1, to: 4},
			{name: "ResourceName", kind: text, from: 1, to: 4},
			{name: "ConfigurationKeys", kind: array, of: text, from: 1, to: 4, null: versions{1, 5}},
		}},
		{name: "IncludeSynonyms", kind: fixed1, from: 1, to: 4},
		{name: "IncludeDocumentation", kind: fixed1, from: 3, to: 4},
	}},
	33: {name: "AlterConfigs", from: 0, to: 2, flexible: 2, fields: []field{
		{name: "Resources", kind: array, of: object, from: 0, to: 2, fields: []field{
			{name: "ResourceType", kind: fixed1, from: 0, to: 2},
			{name: "ResourceName", kind: text, from: 0, to: 2},
			{name: "Configs", kind: array, of: object, from: 0, to: 2, fields: []field{
				{name: "Name", kind: text, from: 0, to: 2},
				{name: "Value", kind: text, from: 0, to: 2, null: versions{0, 3}},
			}},
		}},
		{name: "ValidateOnly", kind: fixed1, from: 0, to: 2},
	}},
	34: {name: "AlterReplicaLogDirs", from: 1, to: 2, flexible: 2, fields: []field{
		{name: "Dirs", kind: array, of: object, from: 1, to: 2, fields: []field{
			{name: "Dir", kind: text, from: 1, to: 2},
			{name: "Topics", kind: array, of: object, from: 1, to: 2, fields: []field{
				{name: "Topic", kind: text, from: 1, to: 2},
				{name: "Partitions", kind: array, of: fixed4, from: 1, to: 2},
			}},
		}},
	}},
	35: {name: "DescribeLogDirs", from: 1, to: 5, flexible: 2, fields: []field{
		{name: "Topics", kind: array, of: object, from: 1, to: 5, null: versions{1, 6}, fields: []field{
			{name: "Topic", kind: text, from: 1, to: 5},
			{name: "Partitions", kind: array, of: fixed4, from: 1, to: 5},
		}},
	}},
	36: {name: "SaslAuthenticate", from: 0, to: 2, flexible: 2, fields: []field{
		{name: "AuthBytes", kind: blob, from: 0, to: 2},
	}},
	37: {name: "CreatePartitions", from: 0, to: 3, flexible: 2, fields: []field{
		{name: "Topics", kind: array, of: object, from: 0, to: 3, fields: []field{
			{name: "Name", kind: text, from: 0, to: 3},
			{name: "Count", kind: fixed4, from: 0, to: 3},
			{name: "Assignments", kind: array, of: object, from: 0, to: 3, null: versions{0, 4}, fields: []field{
				{name: "BrokerIds", kind: array, of: fixed4, from: 0, to: 3},
			}},
		}},
		{name: "TimeoutMs", kind: fixed4, from: 0, to: 3},
		{name: "ValidateOnly", kind: fixed1, from: 0, to: 3},
	}},
	42: {name: "DeleteGroups", from: 0, to: 2, flexible: 2, fields: []field{
		{name: "GroupsNames", kind: array, of: text, from: 0, to: 2},
	}},
	43: {name: "ElectLeaders", from: 0, to: 2, flexible: 2, fields: []field{
		{name: "ElectionType", kind: fixed1, from: 1, to: 2},
		{name: "TopicPartitions", kind: array, of: object, from: 0, to: 2, null: versions{0, 3}, fields: []field{
			{name: "Topic", kind: text, from: 0, to: 2},
			{name: "Partitions", kind: array, of: fixed4, from: 0, to: 2},
		}},
		{name: "TimeoutMs", kind: fixed4, from: 0, to: 2},
	}},
	44: {name: "IncrementalAlterConfigs", from: 0, to: 1, flexible: 1, fields: []field{
		{name: "Resources", kind: array, of: object, from: 0, to: 1, fields: []field{
			{name: "ResourceType", kind: fixed1, from: 0, to: 1},
			{name: "ResourceName", kind: text, from: 0, to: 1},
			{name: "Configs", kind: array, of: object, from: 0, to: 1, fields: []field{
				{name: "Name", kind: text, from: 0, to: 1},
				{name: "ConfigOperation", kind: fixed1, from: 0, to: 1},
				{name: "Value", kind: text, from: 0, to: 1, null: versions{0, 2}},
			}},
		}},
		{name: "ValidateOnly", kind: fixed1, from: 0, to: 1},
	}},
	45: {name: "AlterPartitionReassignments", from: 0, to: 1, flexible: 0, fields: []field{
		{name: "TimeoutMs", kind: fixed4, from: 0, to: 1},
		{name: "AllowReplicationFactorChange", kind: fixed1, from: 1, to: 1},
		{name: "Topics", kind: array, of: object, from: 0, to: 1, fields: []field{
			{name: "Name", kind: text, from: 0, to: 1},
			{name: "Partitions", kind: array, of: object, from: 0, to: 1, fields: []field{
				{name: "PartitionIndex", kind: fixed4, from: 0, to: 1},
				{name: "Replicas", kind: array, of: fixed4, from: 0, to: 1, null: versions{0, 2}},
			}},
		}},
	}},
	46: {name: "ListPartitionReassignments", from: 0, to: 0, flexible: 0, fields: []field{
		{name: "TimeoutMs", kind: fixed4, from: 0, to: 0},
		{name: "Topics", kind: array, of: object, from: 0, to: 0, null: versions{0, 1}, fields: []field{
			{name: "Name", kind: text, from: 0, to: 0},
			{name: "PartitionIndexes", kind: array, of: fixed4, from: 0, to: 0},
		}},
	}},
	47: {name: "OffsetDelete", from: 0, to: 0, flexible: 999, fields: []field{
		{name: "GroupId", kind: text, from: 0, to: 0},
		{name: "Topics", kind: array, of: object, from: 0, to: 0, fields: []field{
			{name: "Name", kind: text, from: 0, to: 0},
			{name: "Partitions", kind: array, of: object, from: 0, to: 0, fields: []field{
				{name: "PartitionIndex", kind: fixed4, from: 0, to: 0},
			}},
		}},
	}},
	48: {name: "DescribeClientQuotas", from: 0, to: 1, flexible: 1, fields: []field{
		{name: "Components", kind: array, of: object, from: 0, to: 1, fields: []field{
			{name: "EntityType", kind: text, from: 0, to: 1},
			{name: "MatchType", kind: fixed1, from: 0, to: 1},
			{name: "Match", kind: text, from: 0, to: 1, null: versions{0, 2}},
		}},
		{name: "Strict", kind: fixed1, from: 0, to: 1},
	}},
	49: {name: "AlterClientQuotas", from: 0, to: 1, flexible: 1, fields: []field{
		{name: "Entries", kind: array, of: object, from: 0, to: 1, fields: []field{
			{name: "Entity", kind: array, of: object, from: 0, to: 1, fields: []field{
				{name: "EntityType", kind: text, from: 0, to: 1},
				{name: "EntityName", kind: text, from: 0, to: 1, null: versions{0, 2}},
			}},
			{name: "Ops", kind: array, of: object, from: 0, to: 1, fields: []field{
				{name: "Key", kind: text, from: 0, to: 1},
				{name: "Value", kind: fixed8, from: 0, to: 1},
				{name: "Remove", kind: fixed1, from: 0, to: 1},
			}},
		}},
		{name: "ValidateOnly", kind: fixed1, from: 0, to: 1},
	}},
	50: {name: "DescribeUserScramCredentials", from: 0, to: 0, flexible: 0, fields: []field{
		{name: "Users", kind: array, of: object, from: 0, to: 0, null: versions{0, 1}, fields: []field{
			{name: "Name", kind: text, from: 0, to: 0},
		}},
	}},
	51: {name: "AlterUserScramCredentials", from: 0, to: 0, flexible: 0, fields: []field{
		{name: "Deletions", kind: array, of: object, from: 0, to: 0, fields: []field{
			{name: "Name", kind: text, from: 0, to: 0},
			{name: "Mechanism", kind: fixed1, from: 0, to: 0},
		}},
		{name: "Upsertions", kind: array, of: object, from: 0, to: 0, fields: []field{
			{name: "Name", kind: text, from: 0, to: 0},
			{name: "Mechanism", kind: fixed1, from: 0, to: 0},
			{name: "Iterations", kind: fixed4, from: 0, to: 0},
			{name: "Salt", kind: blob, from: 0, to: 0},
			{name: "SaltedPassword", kind: blob, from: 0, to: 0},
		}},
	}},
	55: {name: "DescribeQuorum", from: 0, to: 2, flexible: 0, fields: []field{
		{name: "Topics", kind: array, of: object, from: 0, to: 2, fields: []field{
			{name: "TopicName", kind: text, from: 0, to: 2},
			{name: "Partitions", kind: array, of: object, from: 0, to: 2, fields: []field{
				{name: "PartitionIndex", kind: fixed4, from: 0, to: 2},
			}},
		}},
	}},
	56: {name: "AlterPartition", from: 2, to: 3, flexible: 0, fields: []field{
		{name: "BrokerId", kind: fixed4, from: 2, to: 3},
		{name: "BrokerEpoch", kind: fixed8, from: 2, to: 3},
		{name: "Topics", kind: array, of: object, from: 2, to: 3, fields: []field{
			{name: "TopicId", kind: uuid, from: 2, to: 3},
			{name: "Partitions", kind: array, of: object, from: 2, to: 3, fields: []field{
				{name: "PartitionIndex", kind: fixed4, from: 2, to: 3},
				{name: "LeaderEpoch", kind: fixed4, from: 2, to: 3},
				{name: "NewIsr", kind: array, of: fixed4, from: 2, to: 2},
				{name: "NewIsrWithEpochs", kind: array, of: object, from: 3, to: 3, fields: []field{
					{name: "BrokerId", kind: fixed4, from: 3, to: 3},
					{name: "BrokerEpoch", kind: fixed8, from: 3, to: 3},
				}},
				{name: "LeaderRecoveryState", kind: fixed1, from: 2, to: 3},
				{name: "PartitionEpoch", kind: fixed4, from: 2, to: 3},
			}},
		}},
	}},
	57: {name: "UpdateFeatures", from: 0, to: 2, flexible: 0, fields: []field{
		{name: "timeoutMs", kind: fixed4, from: 0, to: 2},
		{name: "FeatureUpdates", kind: array, of: object, from: 0, to: 2, fields: []field{
			{name: "Feature", kind: text, from: 0, to: 2},
			{name: "MaxVersionLevel", kind: fixed2, from: 0, to: 2},
			{name: "AllowDowngrade", kind: fixed1, from: 0, to: 0},
			{name: "UpgradeType", kind: fixed1, from: 1, to: 2},
		}},
		{name: "ValidateOnly", kind: fixed1, from: 1, to: 2},
	}},
	60: {name: "DescribeCluster", from: 0, to: 2, flexible: 0, fields: []field{
		{name: "IncludeClusterAuthorizedOperations", kind: fixed1, from: 0, to: 2},
		{name: "EndpointType", kind: fixed1, from: 1, to: 2},
		{name: "IncludeFencedBrokers", kind: fixed1, from: 2, to: 2},
	}},
	61: {name: "DescribeProducers", from: 0, to: 0, flexible: 0, fields: []field{
		{name: "Topics", kind: array, of: object, from: 0, to: 0, fields: []field{
			{name: "Name", kind: text, from: 0, to: 0},
			{name: "PartitionIndexes", kind: array, of: fixed4, from: 0, to: 0},
		}},
	}},
	62: {name: "BrokerRegistration", from: 0, to: 4, flexible: 0, fields: []field{
		{name: "BrokerId", kind: fixed4, from: 0, to: 4},
		{name: "ClusterId", kind: text, from: 0, to: 4},
		{name: "IncarnationId", kind: uuid, from: 0, to: 4},
		{name: "Listeners", kind: array, of: object, from: 0, to: 4, fields: []field{
			{name: "Name", kind: text, from: 0, to: 4},
			{name: "Host", kind: text, from: 0, to: 4},
			{name: "Port", kind: fixed2, from: 0, to: 4},
			{name: "SecurityProtocol", kind: fixed2, from: 0, to: 4},
		}},
		{name: "Features", kind: array, of: object, from: 0, to: 4, fields: []field{
			{name: "Name", kind: text, from: 0, to: 4},
			{name: "MinSupportedVersion", kind: fixed2, from: 0, to: 4},
			{name: "MaxSupportedVersion", kind: fixed2, from: 0, to: 4},
		}},
		{name: "Rack", kind: text, from: 0, to: 4, null: versions{0, 5}},
		{name: "IsMigratingZkBroker", kind: fixed1, from: 1, to: 4},
		{name: "LogDirs", kind: array, of: uuid, from: 2, to: 4},
		{name: "PreviousBrokerEpoch", kind: fixed8, from: 3, to: 4},
	}},
	63: {name: "BrokerHeartbeat", from: 1, to: 1, flexible: 0, fields: []field{
		{name: "BrokerId", kind: fixed4, from: 1, to: 1},
		{name: "BrokerEpoch", kind: fixed8, from: 1, to: 1},
		{name: "CurrentMetadataOffset", kind: fixed8, from: 1, to: 1},
		{name: "WantFence", kind: fixed1, from: 1, to: 1},
		{name: "WantShutDown", kind: fixed1, from: 1, to: 1},
		{name: "OfflineLogDirs", kind: array, of: uuid, from: 1, to: 1, tag: &tagged{number: 0, versions: versions{1, 2}}},
		// Of version 2 in Kafka; but kmsg, which decodes it, believes the tag in any.
		{name: "CordonedLogDirs", kind: array, of: uuid, from: 1, to: 1, null: versions{1, 2}, tag: &tagged{number: 1, versions: versions{1, 2}}},
	}},
	64: {name: "UnregisterBroker", from: 0, to: 0, flexible: 0, fields: []field{
		{name: "BrokerId", kind: fixed4, from: 0, to: 0},
	}},
	65: {name: "DescribeTransactions", from: 0, to: 0, flexible: 0, fields: []field{
		{name: "TransactionalIds", kind: array, of: text, from: 0, to: 0},
	}},
	66: {name: "ListTransactions", from: 0, to: 2, flexible: 0, fields: []field{
		{name: "StateFilters", kind: array, of: text, from: 0, to: 2},
		{name: "ProducerIdFilters", kind: array, of: fixed8, from: 0, to: 2},
		{name: "DurationFilter", kind: fixed8, from: 1, to: 2},
		{name: "TransactionalIdPattern", kind: text, from: 2, to: 2, null: versions{2, 3}},
	}},
	67: {name: "AllocateProducerIds", from: 0, to: 0, flexible: 0, fields: []field{
		{name: "BrokerId", kind: fixed4, from: 0, to: 0},
		{name: "BrokerEpoch", kind: fixed8, from: 0, to: 0},
	}},
	68: {name: "ConsumerGroupHeartbeat", from: 0, to: 1, flexible: 0, fields: []field{
		{name: "GroupId", kind: text, from: 0, to: 1},
		{name: "MemberId", kind: text, from: 0, to: 1},
		{name: "MemberEpoch", kind: fixed4, from: 0, to: 1},
		{name: "InstanceId", kind: text, from: 0, to: 1, null: versions{0, 2}},
		{name: "RackId", kind: text, from: 0, to: 1, null: versions{0, 2}},
		{name: "RebalanceTimeoutMs", kind: fixed4, from: 0, to: 1},
		{name: "SubscribedTopicNames", kind: array, of: text, from: 0, to: 1, null: versions{0, 2}},
		{name: "SubscribedTopicRegex", kind: text, from: 1, to: 1, null: versions{1, 2}},
		{name: "ServerAssignor", kind: text, from: 0, to: 1, null: versions{0, 2}},
		{name: "TopicPartitions", kind: array, of: object, from: 0, to: 1, null: versions{0, 2}, fields: []field{
			{name: "TopicId", kind: uuid, from: 0, to: 1},
			{name: "Partitions", kind: array, of: fixed4, from: 0, to: 1},
		}},
	}},
	69: {name: "ConsumerGroupDescribe", from: 0, to: 1, flexible: 0, fields: []field{
		{name: "GroupIds", kind: array, of: text, from: 0, to: 1},
		{name: "IncludeAuthorizedOperations", kind: fixed1, from: 0, to: 1},
	}},
	73: {name: "AssignReplicasToDirs", from: 0, to: 0, flexible: 0, fields: []field{
		{name: "BrokerId", kind: fixed4, from: 0, to: 0},
		{name: "BrokerEpoch", kind: fixed8, from: 0, to: 0},
		{name: "Directories", kind: array, of: object, from: 0, to: 0, fields: []field{
			{name: "Id", kind: uuid, from: 0, to: 0},
			{name: "Topics", kind: array, of: object, from: 0, to: 0, fields: []field{
				{name: "TopicId", kind: uuid, from: 0, to: 0},
				{name: "Partitions", kind: array, of: object, from: 0, to: 0, fields: []field{
					{name: "PartitionIndex", kind: fixed4, from: 0, to: 0},
				}},
			}},
		}},
	}},
	74: {name: "ListConfigResources", from: 0, to: 1, flexible: 0, fields: []field{
		{name: "ResourceTypes", kind: array, of: fixed1, from: 1, to: 1},
	}},
	75: {name: "DescribeTopicPartitions", from: 0, to: 0, flexible: 0, fields: []field{
		{name: "Topics", kind: array, of: object, from: 0, to: 0, fields: []field{
			{name: "Name", kind: text, from: 0, to: 0},
		}},
		{name: "ResponsePartitionLimit", kind: fixed4, from: 0, to: 0},
		{name: "Cursor", kind: object, from: 0, to: 0, null: versions{0, 1}, fields: []field{
			{name: "TopicName", kind: text, from: 0, to: 0},
			{name: "PartitionIndex", kind: fixed4, from: 0, to: 0},
		}},
	}},
	80: {name: "AddRaftVoter", from: 0, to: 1, flexible: 0, fields: []field{
		{name: "ClusterId", kind: text, from: 0, to: 1, null: versions{0, 2}},
		{name: "TimeoutMs", kind: fixed4, from: 0, to: 1},
		{name: "VoterId", kind: fixed4, from: 0, to: 1},
		{name: "VoterDirectoryId", kind: uuid, from: 0, to: 1},
		{name: "Listeners", kind: array, of: object, from: 0, to: 1, fields: []field{
			{name: "Name", kind: text, from: 0, to: 1},
			{name: "Host", kind: text, from: 0, to: 1},
			{name: "Port", kind: fixed2, from: 0, to: 1},
		}},
		{name: "AckWhenCommitted", kind: fixed1, from: 1, to: 1},
	}},
	81: {name: "RemoveRaftVoter", from: 0, to: 0, flexible: 0, fields: []field{
		{name: "ClusterId", kind: text, from: 0, to: 0, null: versions{0, 1}},
		{name: "VoterId", kind: fixed4, from: 0, to: 0},
		{name: "VoterDirectoryId", kind: uuid, from: 0, to: 0},
	}},
	30000: {name: "NodeHello", from: 0, to: 0, flexible: 999, fields: []field{
		{name: "ClusterID", kind: text, from: 0, to: 0},
		{name: "NodeID", kind: fixed4, from: 0, to: 0},
		{name: "Incarnation", kind: uuid, from: 0, to: 0},
	}},
	30001: {name: "NodeConsensus", from: 0, to: 0, flexible: 999, fields: []field{
		{name: "Message", kind: blob, from: 0, to: 0},
	}},
	30002: {name: "NodeReadMetadata", from: 0, to: 0, flexible: 999, fields: []field{
		{name: "NodeID", kind: fixed4, from: 0, to: 0},
		{name: "Index", kind: fixed8, from: 0, to: 0},
		{name: "Term", kind: fixed8, from: 0, to: 0},
		{name: "MaxWaitMillis", kind: fixed4, from: 0, to: 0},
		{name: "MaxBytes", kind: fixed4, from: 0, to: 0},
		{name: "DirectoryID", kind: uuid, from: 0, to: 0},
	}},
}
