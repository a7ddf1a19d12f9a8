from chord.cli import main

raise SystemExit(main())
